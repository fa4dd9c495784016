package embedded_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/store/embedded"
)

// A store whose files are not in the folder any more refuses what it could not keep, and says so.
func TestAFolderThatIsRemovedOrReplacedIsNoticed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lose, restore func(folder, aside string) error
		says          string
	}{
		"the folder is moved away": {
			func(folder, aside string) error { return os.Rename(folder, aside) },
			func(folder, aside string) error { return os.Rename(aside, folder) },
			"put it back",
		},
		"the folder is replaced by an empty one": {
			func(folder, aside string) error {
				return errors.Join(os.Rename(folder, aside), os.Mkdir(folder, 0o700))
			},
			func(folder, aside string) error { return errors.Join(os.Remove(folder), os.Rename(aside, folder)) },
			"put it back",
		},
		"the file is replaced by a copy": {
			func(folder, aside string) error {
				file := filepath.Join(folder, "millrace.db")
				text, err := os.ReadFile(file)
				return errors.Join(err, os.Rename(file, aside), os.WriteFile(file, text, 0o600))
			},
			func(folder, aside string) error { return os.Rename(aside, filepath.Join(folder, "millrace.db")) },
			"another file",
		},
		"the log of what is not in the file yet is removed": {
			func(folder, aside string) error { return os.Rename(filepath.Join(folder, "millrace.db-wal"), aside) },
			func(folder, aside string) error { return os.Rename(aside, filepath.Join(folder, "millrace.db-wal")) },
			"put it back",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			folder, aside := filepath.Join(dir, "data"), filepath.Join(dir, "aside")
			s, _ := open(t, folder)
			commit := func() error {
				return s.CommitEntities(t.Context(), &owner.Commit{Records: []owner.Record{{
					App: "a", Type: "T", Key: "k", Number: 1, Seq: entity.Seq{Slot: 1}, Data: []byte(`{"_seq":"0000000000001:000000000000"}`),
				}}})
			}
			if err := errors.Join(s.Health(t.Context()), commit()); err != nil {
				t.Fatal(err)
			}
			if err := tt.lose(folder, aside); err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{"health": s.Health(t.Context()), "commit": commit()} {
				if !errors.Is(err, embedded.ErrMoved) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: got %v, want ErrMoved that says %q", what, err, tt.says)
				}
			}
			if err := tt.restore(folder, aside); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Health(t.Context()), commit()); err != nil {
				t.Errorf("when it is back: %v", err)
			}
		})
	}
}
