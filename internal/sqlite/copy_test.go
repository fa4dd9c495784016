package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/sqlite"
)

// pairs writes pairs of rows, each pair in one transaction, until ctx ends; written is told of each.
func pairs(ctx context.Context, db *sqlite.DB, from int, written func(n int) (goesOn bool)) error {
	for n := from; ; n++ {
		err := db.Write(ctx, func(tx *sql.Tx) error {
			for range 2 {
				if _, err := tx.ExecContext(ctx, "INSERT INTO runs (first_slot, last_slot, last_index) VALUES (?, 1, 1)", n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || !written(n) {
			return err
		}
	}
}

// rows counts the rows of pairs, and wants no half of a pair.
func rows(t *testing.T, folder string) (n int) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Each(t.Context(), func(*sql.Rows) error { n++; return nil }, "SELECT tag FROM runs"); err != nil || n%2 != 0 {
		t.Errorf("%d rows of pairs, %v", n, err)
	}
	if err := db.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	return n
}

func names(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// A copy that is made under writes has what was written before it, and no part of a transaction.
func TestACopyIsTheDatabaseAtOneMoment(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithCancel(t.Context())
	begun, ended := make(chan int, 1), make(chan error, 1)
	go func() {
		ended <- pairs(writing, db, 0, func(n int) bool {
			select {
			case begun <- n + 1:
			default:
			}
			return writing.Err() == nil
		})
	}()
	copies := make([][]byte, 5)
	written := make([]int, len(copies))
	for i := range copies {
		written[i] = <-begun
		f, err := db.Copy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		copies[i], err = io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if all := names(t, folder); strings.Contains(all, ".copy-") {
		t.Errorf("the folder has %s", all)
	}
	if err := db.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	installed := t.TempDir()
	for i, b := range copies {
		if err := sqlite.Install(t.Context(), installed, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if n := rows(t, installed); n < 2*written[i] {
			t.Errorf("copy %d has %d rows; before it %d were written", i, n, 2*written[i])
		}
	}
}

// What cannot be installed leaves the database before as it was, and nothing else.
func TestWhatIsNotInstalled(t *testing.T) {
	t.Parallel()
	from := open(t)
	f, err := from.Copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(whole)
	newer[62] = 200 // a part of user_version
	torn := bytes.Clone(whole)
	for i := len(torn) / 2; i < len(torn); i++ {
		torn[i] = byte(i)
	}
	lost := errors.New("the connection is lost")

	folder := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	if err := pairs(t.Context(), db, 0, func(n int) bool { return n < 9 }); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Install(t.Context(), folder, bytes.NewReader(whole)); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("into a folder that is open: %v, want ErrLocked", err)
	}
	if err := db.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	before := names(t, folder)
	for name, c := range map[string]struct {
		copied io.Reader
		want   error
	}{
		"nothing":            {strings.NewReader(""), sqlite.ErrDamaged},
		"a text":             {strings.NewReader(strings.Repeat("no database", 1000)), sqlite.ErrDamaged},
		"a part of a copy":   {bytes.NewReader(whole[:len(whole)/2]), sqlite.ErrDamaged},
		"a damaged copy":     {bytes.NewReader(torn), sqlite.ErrDamaged},
		"a newer version's":  {bytes.NewReader(newer), sqlite.ErrTooNew},
		"a stream that ends": {io.MultiReader(bytes.NewReader(whole[:100]), failing{lost}), lost},
	} {
		if err := sqlite.Install(t.Context(), folder, c.copied); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if after := names(t, folder); after != before {
			t.Errorf("%s: the folder has %s, it had %s", name, after, before)
		}
		if n := rows(t, folder); n != 20 {
			t.Errorf("%s: %d rows are left of 20", name, n)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What a process that was killed has left unfinished is removed at the next start.
func TestUnfinishedCopiesGo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"copy-17", "copy-17-journal", "install-4"} {
		if err := os.WriteFile(filepath.Join(folder, sqlite.FileName+"."+name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows(t, folder)
	if all := names(t, folder); strings.Contains(all, "copy") || strings.Contains(all, "install") {
		t.Errorf("the folder has %s", all)
	}
}
