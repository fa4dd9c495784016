package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/sqlite"
)

// TestLogAndWALAreUsedAgain writes many times what may be left on the disk.
func TestLogAndWALAreUsedAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, err := Open(t.Context(), Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	const rounds, keys = 30, 200
	for round := range rounds {
		c := &owner.Commit{Now: time.Now()}
		for i := range keys {
			c.Records = append(c.Records, owner.Record{
				App: "app", Type: "Auction", Key: strconv.Itoa(i), Number: uint64(round*keys + i),
				Data: fmt.Appendf(nil, `{"fill":"%s"}`, strings.Repeat("x", 5000)),
			})
		}
		if err := s.CommitEntities(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := s.askFold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if first, last, err := s.bounds(t.Context()); err != nil || first != 0 || last != 0 {
		t.Errorf("the log has rows %d to %d, %v; want none", first, last, err)
	}
	if got := s.unfolded.Load(); got != 0 {
		t.Errorf("got %d bytes counted in an empty log", got)
	}
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 6<<20 { // of 30 MB in the log and as much in the table
			t.Errorf("%s has %d bytes: what was freed is not used again", name, info.Size())
		}
	}
}

// TestFoldGoesOnBesideCommits folds all the time while keys are committed, deleted and forgotten.
func TestFoldGoesOnBesideCommits(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, err := Open(t.Context(), Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if err := s.askFold(t.Context()); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	want := map[string]uint64{} // number by key; 0: deleted
	number := uint64(0)
	for round := range 150 {
		c := &owner.Commit{Now: time.Now()}
		for i := range 10 {
			number++
			r := owner.Record{App: "app", Type: "Auction", Key: strconv.Itoa((round*7 + i) % 50), Number: number, Data: []byte(`{}`)}
			want[r.Key] = number
			if (round+i)%4 == 0 {
				r.IsDeleted, r.Data = true, nil
				c.Forget = append(c.Forget, owner.Record{App: r.App, Type: r.Type, Key: r.Key})
				delete(want, r.Key)
			}
			c.Records = append(c.Records, r)
		}
		if err := s.CommitEntities(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := map[string]uint64{}
	err = s.LoadEntities(t.Context(), time.Now(), func(r owner.Record) error {
		got[r.Key] = r.Number
		return nil
	}, nil)
	if err != nil {
		t.Error(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
