package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/store/embedded"
)

// childCommand, followed by a folder, makes the test binary a process that commits to a store in
// that folder until it is killed.
const childCommand = "commit-until-killed"

const (
	perCommit = 100
	fill      = 2000 // bytes of a record of the child: 75 commits make the log due
)

var now = time.UnixMilli(1_900_000_000_000)

// numbered makes n records of commit number: the data says which, in about size bytes.
func numbered(number uint64, n, size int) []entity.Record {
	all := make([]entity.Record, n)
	for i := range all {
		all[i] = entity.Record{
			App: "app", Type: "Auction", Key: fmt.Sprintf("lot-%06d", i), Number: number, Seq: entity.Seq{Slot: number, Index: uint64(i)},
			Data: fmt.Appendf(nil, `{"number":%d,"fill":"%0*d"}`, number, size, i),
		}
	}
	return all
}

func loaded(t *testing.T, s *embedded.Store) []entity.Record {
	t.Helper()
	var all []entity.Record
	err := s.LoadEntities(t.Context(), now,
		func(r entity.Record) error { all = append(all, r); return nil },
		func(entity.Receipt) error { return nil })
	if err != nil {
		t.Fatalf("LoadEntities: %v", err)
	}
	return all
}

// commitUntilKilled prints the number of each commit that was acknowledged.
func commitUntilKilled(folder string) int {
	ctx := context.Background()
	s, err := embedded.Open(ctx, embedded.Options{Path: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for number := uint64(1); ; number++ {
		if err := s.CommitEntities(ctx, &entity.Commit{Records: numbered(number, perCommit, fill)}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Fprintln(os.Stdout, number)
	}
}

func TestAcknowledgedCommitsSurviveAKill(t *testing.T) {
	t.Parallel()
	// Kills before anything is folded, and while something is.
	for _, atLeast := range []uint64{3, 80, 150} {
		t.Run(fmt.Sprintf("after %d commits", atLeast), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			acknowledged := killAfter(t, childCommand, folder, atLeast)
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

// killAfter runs a child with a command until it has acknowledged so many commits, kills it, and
// returns the last number it has printed.
func killAfter(t *testing.T, command, folder string, atLeast uint64) (last uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], command, folder)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() { // also what was printed before the kill took effect
		number, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Errorf("the child printed %q", lines.Text())
			continue
		}
		last = number
		if number == 1 { // the lock holds between processes too
			if s, err := embedded.Open(ctx, embedded.Options{Path: folder}); !errors.Is(err, embedded.ErrLocked) {
				t.Errorf("Open beside the child: got %v, %v; want ErrLocked", s, err)
			}
		}
		if number == atLeast {
			if err := child.Process.Kill(); err != nil {
				t.Errorf("kill: %v", err)
			}
		}
	}
	if err := child.Wait(); err == nil || last < atLeast {
		t.Fatalf("the child ended by itself after %d commits: %v", last, err)
	}
	return last
}
