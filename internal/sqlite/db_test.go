package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return db
}

func put(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO runs (tag, first_slot, last_slot, last_index) VALUES (1, 1, 1, 1)")
	return err
}

// What fails leaves nothing behind, and the connection free for the next transaction.
func TestAWriteThatEndsEarlyWritesNothing(t *testing.T) {
	t.Parallel()
	bug := errors.New("a bug")
	db := open(t)
	for name, end := range map[string]func() error{
		"an error": func() error { return bug },
		"a panic":  func() error { panic(bug) },
	} {
		err := func() (err error) {
			defer func() {
				if v, ok := recover().(error); ok {
					err = v
				}
			}()
			return db.Write(t.Context(), func(tx *sql.Tx) error { return errors.Join(put(t.Context(), tx), end()) })
		}()
		if !errors.Is(err, bug) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := db.Write(t.Context(), func(tx *sql.Tx) error { return put(t.Context(), tx) }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	n := 0
	if err := db.Each(t.Context(), func(*sql.Rows) error { n++; return nil }, "SELECT tag FROM runs"); err != nil || n != 1 {
		t.Errorf("got %d rows, %v; want 1", n, err)
	}
}

// A COMMIT that fails leaves nothing behind either, and says that it was the COMMIT.
func TestACommitThatFails(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, statement := range []string{
		"PRAGMA foreign_keys = ON",
		"CREATE TABLE parents (id INTEGER PRIMARY KEY)",
		"CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)",
	} {
		if _, err := db.Writer().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	add := func(statement string) error {
		return db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), statement)
			return err
		})
	}
	if err := add("INSERT INTO children (parent) VALUES (7)"); !errors.Is(err, sqlite.ErrCommit) {
		t.Errorf("got %v, want ErrCommit", err)
	}
	if err := add("INSERT INTO nothing (parent) VALUES (7)"); err == nil || errors.Is(err, sqlite.ErrCommit) {
		t.Errorf("a statement that fails: got %v", err)
	}
	if err := add("INSERT INTO parents (id) VALUES (8)"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What a Blob has stays as it is when other rows are read, also by other queries.
func TestABlobIsItsOwn(t *testing.T) {
	t.Parallel()
	db := open(t)
	const n = 300
	query := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT CAST(printf('%%0*d', 10 + i, i) AS BLOB) FROM n", n)
	var all []sqlite.Blob
	for range 2 {
		err := db.Each(t.Context(), func(rows *sql.Rows) error {
			var b sqlite.Blob
			err := rows.Scan(&b)
			all = append(all, b)
			return err
		}, query)
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range all {
		if want := fmt.Sprintf("%0*d", 10+i%n+1, i%n+1); string(b) != want {
			t.Fatalf("%d: got %q, want %q", i, b, want)
		}
	}
	err := db.Each(t.Context(), func(rows *sql.Rows) error {
		var b sqlite.Blob
		return rows.Scan(&b)
	}, "SELECT 1")
	if err == nil {
		t.Error("a number is a BLOB")
	}
}
