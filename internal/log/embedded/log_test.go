package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/log/logtest"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		os.Exit(appendUntilKilled(os.Args[2]))
	}
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
	logtest.Run(t, func(tb testing.TB) logtest.Harness {
		folder := tb.TempDir()
		aside := filepath.Join(tb.TempDir(), "aside")
		return logtest.Harness{
			Open: func(tb testing.TB, s logtest.Setup) logtest.Log {
				return open(tb, folder, embedded.Options{Now: s.Now, Retention: func(protocol.Topic) log.Retention { return s.Retention }})
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
		}
	})
}
