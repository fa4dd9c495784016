package bufpool_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
)

func TestEqualBytesAreSharedWhileTheyHaveOwners(t *testing.T) {
	t.Parallel()
	var s bufpool.Shelf
	text := []byte("the members of a channel")
	first := s.Share(text)
	second := s.Share(bytes.Clone(text))
	if first != second {
		t.Error("equal bytes have two buffers")
	}
	if cap(first.B) != len(text) {
		t.Errorf("%d bytes take %d", len(text), cap(first.B))
	}
	text[0] = 'T'
	if other := s.Share(text); other == first || string(first.B) != "the members of a channel" {
		t.Errorf("a change of the caller's bytes reached the shelf: %q", first.B)
	}
	first.Release()
	if third := s.Share(second.B); third != second {
		t.Error("one owner is left, and yet the bytes were copied")
	} else {
		third.Release()
	}
	second.Release()
	if again := s.Share([]byte("the members of a channel")); again == second {
		t.Error("the shelf has kept a buffer without owners")
	}
}

// The race detector and Release itself find what goes wrong here.
func TestASharedBufferIsNeverChangedUnderAnOwner(t *testing.T) {
	t.Parallel()
	var s bufpool.Shelf
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 2000 {
				want := bytes.Repeat([]byte{byte(rnd.IntN(3))}, 100)
				b := s.Share(want)
				if rnd.IntN(2) == 0 {
					b.Retain()
					b.Release()
				}
				if !bytes.Equal(b.B, want) {
					t.Errorf("got %v, want %v", b.B[0], want[0])
				}
				b.Release()
			}
		})
	}
	wg.Wait()
}
