package embedded_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/store/embedded"
)

// relativeTo is path as it is seen from the working directory of the test.
func relativeTo(t *testing.T, path string) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, path)
	if err != nil {
		t.Fatal(err)
	}
	return relative
}

func TestProbeFindsTheFolderByAnyPath(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, err := embedded.Open(t.Context(), embedded.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{folder, relativeTo(t, folder)}
	for _, path := range paths {
		if err := embedded.Probe(t.Context(), path); !errors.Is(err, embedded.ErrLocked) {
			t.Errorf("%s, which a server owns: %v, want ErrLocked", path, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if err := embedded.Probe(t.Context(), path); err != nil {
			t.Errorf("%s, which is well: %v", path, err)
		}
	}
}

func TestProbeTellsDamageFromEverythingElse(t *testing.T) {
	t.Parallel()
	database := func(content string) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "millrace.db"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			return folder
		}
	}
	for _, tt := range []struct {
		name   string
		folder func(*testing.T) string
		want   error
	}{
		{"nothing is there", func(t *testing.T) string { t.Helper(); return t.TempDir() }, nil},
		{"a file that was made, and no more", database(""), nil},
		{"a text", database("this is a text, and no database at all"), embedded.ErrDamaged},
		{"a database that was cut off", database("SQLite"), embedded.ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder := tt.folder(t)
			if err := embedded.Probe(t.Context(), folder); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if _, err := os.Stat(filepath.Join(folder, "millrace.lock")); err == nil {
				t.Error("a lock file is left")
			}
		})
	}
}
