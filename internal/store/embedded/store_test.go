package embedded_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/admin"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/store/storetest"
	"github.com/millrace/millrace/internal/testkit/killtest"
	"github.com/millrace/millrace/internal/token"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]func(args []string) error{"commits": commits, "puts": puts})
	goleak.VerifyTestMain(m)
}

// open opens a store until the test ends; close may come first.
func open(t testing.TB, folder string) (s *embedded.Store, stop func()) {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Options{Path: folder})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	isOpen := true
	stop = func() {
		if isOpen {
			isOpen = false
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return s, stop
}

// suite opens stores for storetest as what they implement.
func suite[S any](as func(*embedded.Store) S) storetest.Open[S] {
	return func(t *testing.T) (S, func(t *testing.T) S) {
		folder := t.TempDir()
		store, stop := open(t, folder)
		return as(store), func(t *testing.T) S {
			stop()
			store, stop = open(t, folder)
			return as(store)
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("entities", func(t *testing.T) {
		storetest.RunEntities(t, suite(func(s *embedded.Store) owner.Store { return s }))
	})
	t.Run("definitions", func(t *testing.T) {
		storetest.RunDefinitions(t, suite(func(s *embedded.Store) definition.Store { return s }))
	})
	t.Run("revocations", func(t *testing.T) {
		storetest.RunRevocations(t, suite(func(s *embedded.Store) token.RevocationStore { return s }))
	})
	t.Run("signatures", func(t *testing.T) {
		storetest.RunSignatures(t, suite(func(s *embedded.Store) admin.Signatures { return s }))
	})
}

func TestFolderBelongsToOneStore(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "deep", "data?x=1 %41")
	_, stop := open(t, folder)
	_, err := embedded.Open(t.Context(), embedded.Options{Path: folder})
	if !errors.Is(err, embedded.ErrLocked) {
		t.Fatalf("got error %v, want ErrLocked", err)
	}
	if !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the error does not help: %v", err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: got %v, %v; want permissions 0700", info, err)
	}
	if info, err := os.Stat(filepath.Join(folder, "millrace.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: got %v, %v; want permissions 0600", info, err)
	}
	stop()
	open(t, folder)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, folder, file string)
		want    error
		hint    string
	}{
		"a file that is not a database": {
			func(t *testing.T, _, file string) { writeFile(t, file, strings.Repeat("not a database ", 1000)) },
			embedded.ErrDamaged, "restore it from a backup",
		},
		"a schema newer than it knows": {
			func(t *testing.T, _, file string) { execute(t, file, "PRAGMA user_version = 1000") },
			embedded.ErrTooNew, "run the newer Millrace",
		},
		"a folder that is a file": {
			func(t *testing.T, folder, _ string) {
				if err := os.Remove(folder); err != nil {
					t.Fatal(err)
				}
				writeFile(t, folder, "")
			},
			nil, "not a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, folder, filepath.Join(folder, "millrace.db"))
			s, err := embedded.Open(t.Context(), embedded.Options{Path: folder})
			if err == nil {
				_ = s.Close()
				t.Fatal("Open succeeded")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.hint) || !strings.Contains(err.Error(), folder) {
				t.Errorf("got error %q, want the folder and %q in it", err, c.hint)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// execute runs a statement on a database file that no store has open.
func execute(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestDamageInTheMiddleIsNamed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, stop := open(t, folder)
	if err := s.CommitEntities(t.Context(), &owner.Commit{Records: numbered(1, 2000, 200)}); err != nil {
		t.Fatal(err)
	}
	if got := loaded(t, s); len(got) != 2000 { // folded: the table is where it is to be damaged
		t.Fatalf("got %d records, want 2000", len(got))
	}
	stop()
	file := filepath.Join(folder, "millrace.db")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 5 * 4096; i < len(text); i += 4096 {
		copy(text[i:], "damaged")
	}
	writeFile(t, file, string(text))
	s, err = embedded.Open(t.Context(), embedded.Options{Path: folder})
	if err == nil {
		defer func() { _ = s.Close() }()
		err = s.LoadEntities(t.Context(), now, func(owner.Record) error { return nil }, func(owner.Receipt) error { return nil })
	}
	if !errors.Is(err, embedded.ErrDamaged) || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("got error %v, want ErrDamaged with a hint", err)
	}
}

func TestCloseLeavesOneFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, stop := open(t, folder)
	if err := s.CommitEntities(t.Context(), &owner.Commit{Records: numbered(1, 100, 200)}); err != nil {
		t.Fatal(err)
	}
	stop()
	for _, name := range []string{"millrace.db-wal", "millrace.db-shm"} {
		if _, err := os.Stat(filepath.Join(folder, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}
