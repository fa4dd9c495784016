package bufpool_test

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
)

func TestGetHasRoom(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 0, 1, 511, 512, 513, 4096, 4097, 1 << 20, 4 << 20, 4<<20 + 1, 9 << 20} {
		b := bufpool.Get(n)
		if len(b.B) != 0 || cap(b.B) < max(n, bufpool.Room(n)) {
			t.Errorf("Get(%d): %d bytes with room for %d, want an empty buffer with room for %d", n, len(b.B), cap(b.B), bufpool.Room(n))
		}
		b.Release()
	}
}

func TestSegmentBytes(t *testing.T) {
	t.Parallel()
	b := bufpool.Get(16)
	defer b.Release()
	b.B = append(b.B, "onetwothree"...)
	s := bufpool.Segment{Buf: b, Start: 3, End: 6, Frames: 1}
	if got := string(s.Bytes()); got != "two" {
		t.Errorf("Bytes = %q, want %q", got, "two")
	}
}

// TestOwners: the bytes stay as they are until the last owner releases them.
func TestOwners(t *testing.T) {
	t.Parallel()
	const owners, rounds = 8, 200
	for i := range rounds {
		want := bytes.Repeat([]byte{byte(i)}, 700)
		b := bufpool.Get(len(want))
		b.B = append(b.B, want...)
		var wg sync.WaitGroup
		for range owners {
			b.Retain()
			wg.Go(func() {
				if !bytes.Equal(b.B, want) {
					t.Error("bytes changed under an owner")
				}
				b.Release()
				other := bufpool.Get(len(want)) // must not be b
				other.B = append(other.B, "someone else's"...)
				other.Release()
			})
		}
		wg.Wait()
		if !bytes.Equal(b.B, want) {
			t.Fatal("bytes changed under the last owner")
		}
		b.Release()
	}
}

func TestReleaseOnceTooOftenPanics(t *testing.T) {
	t.Parallel()
	b := bufpool.Get(100 << 20) // too large to be pooled, so that no other test gets it
	b.Release()
	defer func() {
		if recover() == nil {
			t.Error("Release of a buffer without owner did not panic")
		}
	}()
	b.Release()
}

func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	for _, n := range []int{1, 512, 5000, 4 << 20} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			if got := testing.AllocsPerRun(100, func() { bufpool.Get(n).Release() }); got != 0 {
				t.Errorf("%v allocations per Get and Release, want none", got)
			}
		})
	}
}

// TestGrownBufferIsReused: a buffer that was appended to beyond its class serves the class
// it grew to, and one beyond the largest class is not kept.
func TestGrownBufferIsReused(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for name, tt := range map[string]struct {
		grown, want int
		isReused    bool
	}{
		"within the classes":       {3 << 16, 1 << 17, true},
		"beyond the largest class": {5 << 20, 4 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := bufpool.Get(1)
			b.B = append(b.B, make([]byte, tt.grown)...)
			b.Release()
			again := bufpool.Get(tt.want)
			defer again.Release()
			if (again == b) != tt.isReused {
				t.Errorf("reused = %v, want %v", again == b, tt.isReused)
			}
		})
	}
}

func BenchmarkGetRelease(b *testing.B) {
	for _, n := range []int{512, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bufpool.Get(n).Release()
			}
		})
	}
}
