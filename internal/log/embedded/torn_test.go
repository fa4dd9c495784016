package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/sqlite"
)

// A loss of power may leave less at the end of the write-ahead log than was written, or something
// else. What was flushed before that is there, and no group is there in part. Folding is not flushed: what
// is lost of it is done again.
func TestATornTail(t *testing.T) {
	t.Parallel()
	const groups, perGroup = 12, 5
	folder := t.TempDir()
	l := open(t, folder, embedded.Options{})
	tenure, _ := l.Tenure()
	var sizes [groups + 1]int64 // of the write-ahead log after so many groups
	wal := filepath.Join(folder, sqlite.FileName+"-wal")
	sizes[0] = size(t, wal)
	for g := range uint64(groups) {
		index, err := l.Append(t.Context(), tenure, childGroup(0, g*perGroup+1, (g+1)*perGroup))
		if err != nil {
			t.Fatal(err)
		}
		sizes[g+1] = size(t, wal)
		if g%3 == 2 {
			if err := errors.Join(l.Fold(t.Context()), l.Trim(t.Context(), index)); err != nil {
				t.Fatal(err)
			}
		}
	}
	total := size(t, wal)
	damages := map[string]func(t *testing.T, wal string, at int64){
		"cut off": func(t *testing.T, wal string, at int64) {
			if err := os.Truncate(wal, at); err != nil {
				t.Fatal(err)
			}
		},
		"overwritten": func(t *testing.T, wal string, at int64) {
			b, err := os.ReadFile(wal)
			if err != nil {
				t.Fatal(err)
			}
			for i := at; i < int64(len(b)); i++ {
				b[i] = byte(i)
			}
			if err := os.WriteFile(wal, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, damage := range damages {
		for lost := int64(1); lost < total-sizes[groups-5]; lost += 3777 {
			at, whole := total-lost, 0
			for whole < groups && sizes[whole+1] <= at {
				whole++
			}
			t.Run(fmt.Sprintf("%s %d bytes before the end", name, lost), func(t *testing.T) {
				copied := t.TempDir()
				for _, file := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
					b, err := os.ReadFile(filepath.Join(folder, file))
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(copied, file), b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				damage(t, filepath.Join(copied, sqlite.FileName+"-wal"), at)
				checkTorn(t, copied, uint64(whole*perGroup))
			})
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// checkTorn wants so many publications, and a log that goes on behind them.
func checkTorn(t *testing.T, folder string, want uint64) {
	t.Helper()
	l := open(t, folder, embedded.Options{})
	tenure, _ := l.Tenure()
	s, err := l.Stream(t.Context(), childTopic(0))
	if err != nil || s.Next != want+1 || s.Count() != want {
		t.Errorf("%d publications are there, %v; want %d", s.Count(), err, want)
	}
	checkTold(t, l, 0, want)
	if _, err := l.Append(t.Context(), tenure, childGroup(0, s.Next, s.Next)); err != nil {
		t.Error(err)
	}
	checkEntries(t, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
