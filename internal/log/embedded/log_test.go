package embedded_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/log/logtest"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/testkit/killtest"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]func(args []string) error{"appends": appends, "installs": installs})
	goleak.VerifyTestMain(m)
}

// opened is a log with a database of its own.
type opened struct {
	*embedded.Log
	tb testing.TB
	db *sqlite.DB
}

func (o *opened) Close() error {
	err := o.Log.Close()
	if closed := o.db.Close(context.WithoutCancel(o.tb.Context())); err == nil {
		err = closed
	}
	return err
}

func open(tb testing.TB, folder string, o embedded.Options) *opened {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), sqlite.Options{Path: folder})
	if err != nil {
		tb.Fatal(err)
	}
	o.Node = logtest.Node
	l, err := embedded.Open(tb.Context(), db, o)
	if err != nil {
		tb.Fatal(err)
	}
	return &opened{l, tb, db}
}

func TestLog(t *testing.T) {
	t.Parallel()
	logtest.Run(t, func(tb testing.TB) logtest.Harness { return place(tb, tb.TempDir()) })
}

// place is a folder as logtest uses it.
func place(tb testing.TB, folder string) logtest.Harness {
	aside := filepath.Join(tb.TempDir(), "aside")
	var last *opened
	return logtest.Harness{
		Open: func(tb testing.TB, s logtest.Setup) logtest.Log {
			last = open(tb, folder, embedded.Options{Now: s.Now, Retention: func(protocol.Topic) log.Retention { return s.Retention }})
			return last
		},
		OpenBeside: func(ctx context.Context) error {
			db, err := sqlite.Open(ctx, sqlite.Options{Path: folder})
			if err == nil {
				err = db.Close(ctx)
			}
			return err
		},
		Break: func(isBroken bool) {
			from, to := folder, aside
			if !isBroken {
				from, to = aside, folder
			}
			if err := os.Rename(from, to); err != nil {
				tb.Error(err)
			}
		},
		Fill: func(isFull bool) { fill(tb, last.db, isFull) },
		Install: func(tb testing.TB, r io.Reader) logtest.Harness {
			folder := tb.TempDir()
			if err := embedded.Install(tb.Context(), folder, r); err != nil {
				tb.Fatal(err)
			}
			return place(tb, folder)
		},
	}
}

// fill has the database refuse to become larger, as a full disk would.
func fill(tb testing.TB, db *sqlite.DB, isFull bool) {
	tb.Helper()
	pages := int64(1<<32 - 2)
	if isFull {
		if err := db.Writer().QueryRowContext(tb.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := db.Writer().ExecContext(tb.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		tb.Fatal(err)
	}
}
