package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/testkit/killtest"
)

const (
	perCommit = 100
	fill      = 2000 // bytes of a record of the child: 75 commits make the log due
)

var now = time.UnixMilli(1_900_000_000_000)

// numbered makes n records of commit number: the data says which, in about size bytes.
func numbered(number uint64, n, size int) []owner.Record {
	all := make([]owner.Record, n)
	for i := range all {
		all[i] = owner.Record{
			App: "app", Type: "Auction", Key: fmt.Sprintf("lot-%06d", i), Number: number, Seq: entity.Seq{Slot: number, Index: uint64(i)},
			Data: fmt.Appendf(nil, `{"number":%d,"fill":"%0*d"}`, number, size, i),
		}
	}
	return all
}

func loaded(t *testing.T, s *embedded.Store) []owner.Record {
	t.Helper()
	var all []owner.Record
	err := s.LoadEntities(t.Context(), now,
		func(r owner.Record) error { all = append(all, r); return nil },
		func(owner.Receipt) error { return nil })
	if err != nil {
		t.Fatalf("LoadEntities: %v", err)
	}
	return all
}

// commits prints the number of each commit that was acknowledged, in the folder that is its argument.
func commits(args []string) error {
	ctx := context.Background()
	s, err := embedded.Open(ctx, embedded.Options{Path: args[0]})
	if err != nil {
		return err
	}
	for number := uint64(1); ; number++ {
		if err := s.CommitEntities(ctx, &owner.Commit{Records: numbered(number, perCommit, fill)}); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, number)
	}
}

func TestAcknowledgedCommitsSurviveAKill(t *testing.T) {
	t.Parallel()
	// Kills before anything is folded, and while something is.
	for _, atLeast := range []int{3, 80, 150} {
		t.Run(fmt.Sprintf("after %d commits", atLeast), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			acknowledged := killAfter(t, "commits", folder, atLeast)
			s, _ := open(t, folder)
			all := loaded(t, s)
			if len(all) != perCommit {
				t.Fatalf("got %d records, want %d", len(all), perCommit)
			}
			number := all[0].Number
			if number < acknowledged {
				t.Errorf("commit %d was acknowledged, but the last one stored is %d", acknowledged, number)
			}
			for i, want := range numbered(number, perCommit, fill) {
				if got := all[i]; got.Key != want.Key || got.Number != number || string(got.Data) != string(want.Data) {
					t.Fatalf("commit %d is not whole: %q has number %d and data %s", number, got.Key, got.Number, got.Data)
				}
			}
		})
	}
}

// killAfter kills a work after so many commits, and returns the last number that it has printed.
func killAfter(t *testing.T, work, folder string, atLeast int) (last uint64) {
	t.Helper()
	killtest.After(t, atLeast, func(n int, line string) {
		var err error
		if last, err = strconv.ParseUint(line, 10, 64); err != nil {
			t.Errorf("the process printed %q", line)
		}
		if n > 1 {
			return
		}
		if s, err := embedded.Open(t.Context(), embedded.Options{Path: folder}); !errors.Is(err, embedded.ErrLocked) { // the lock holds between processes too
			t.Errorf("Open beside the process: got %v, %v; want ErrLocked", s, err)
		}
	}, work, folder)
	return last
}
