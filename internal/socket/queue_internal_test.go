package socket

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/websocket"
)

func framesOf(sizes ...int) bufpool.Segment {
	buf := bufpool.Get(64)
	for _, n := range sizes {
		buf.B = websocket.AppendFrame(buf.B, websocket.OpText, make([]byte, n))
	}
	return bufpool.Segment{Buf: buf, End: len(buf.B), Frames: len(sizes)}
}

// S03 and S04 of pusher-protocol 8.10.
func TestTheQueueIsFullExactlyAtItsLimits(t *testing.T) {
	t.Parallel()
	kilobyte := 1024 - 4 // with its header a frame of exactly 1024 bytes
	for _, c := range []struct {
		name           string
		ep             Endpoint
		frame          int
		wantFit        int
		wantFitInBatch int
	}{
		{"S03: bytes only, frames of 1024 bytes", Endpoint{MaxQueueFrames: 10_000, MaxQueueBytes: 65536}, kilobyte, 64, 64},
		{"bytes only, tiny frames are capped", Endpoint{MaxQueueFrames: 10_000, MaxQueueBytes: 1 << 30}, 0, 10_000, 10_000},
		{"messages only", Endpoint{MaxQueueFrames: 1000}, 100_000, 1000, 1000},
		{"S04: both, many tiny frames", Endpoint{MaxQueueFrames: 100, MaxQueueBytes: 65536}, 10, 100, 100},
		{"S04: both, few large frames", Endpoint{MaxQueueFrames: 100, MaxQueueBytes: 65536}, 20_000, 3, 3},
	} {
		var q queue
		n := 0
		for ; n < 20_000; n++ {
			s := framesOf(c.frame)
			if fit, _ := q.fits(s, &c.ep); fit == 0 {
				break
			}
			q.push(s)
		}
		if n != c.wantFit {
			t.Errorf("%s: %d frames fit, want %d", c.name, n, c.wantFit)
		}
		batch := framesOf(slices.Repeat([]int{c.frame}, c.wantFit+5)...)
		var empty queue
		if fit, _ := empty.fits(batch, &c.ep); fit != c.wantFitInBatch {
			t.Errorf("%s: %d frames of a batch fit, want %d", c.name, fit, c.wantFitInBatch)
		}
	}
}

// Whatever the socket takes of each write, the queue's account of frames and bytes stays
// right, and what is kept after dropToFrame ends exactly at the frame that was begun.
func TestPartialWritesKeepTheAccount(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var q queue
		var ends []int // of frames, in the stream of all bytes
		total := 0
		for range 1 + rnd.IntN(6) {
			sizes := make([]int, 1+rnd.IntN(4))
			for i := range sizes {
				sizes[i] = rnd.IntN(300)
			}
			s := framesOf(sizes...)
			for pos := 0; pos < s.End; {
				pos += websocket.FrameLen(s.Buf.B[pos:])
				ends = append(ends, total+pos)
			}
			total += s.End
			q.push(s)
		}
		written := 0
		for written < total && rnd.IntN(20) > 0 {
			n := 1 + rnd.IntN(q.front().End-q.front().Start)
			q.wrote(n)
			written += n
			left, next := 0, written
			for _, end := range slices.Backward(ends) {
				if end > written {
					left++
					next = end
				}
			}
			isBoundary := written == 0 || slices.Contains(ends, written)
			if want := next - written; q.bytes != total-written || q.frames != left || (!isBoundary && q.begun != want) || (isBoundary && q.begun != 0) {
				t.Fatalf("after %d of %d: bytes %d frames %d begun %d, want %d %d %d", written, total, q.bytes, q.frames, q.begun, total-written, left, want)
			}
		}
		begun := q.begun
		q.dropToFrame()
		if q.bytes != begun || (begun > 0) != (q.frames == 1) || q.isEmpty() != (begun == 0) {
			t.Fatalf("after dropping: bytes %d frames %d, want only the %d begun bytes", q.bytes, q.frames, begun)
		}
	}
}

func TestTheWheelFiresEachTimerOnceAtItsTick(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	w := newWheel()
	want := map[*Conn]uint32{}
	for range 2000 {
		c := new(Conn)
		at := 1 + rnd.Uint32N(3*wheelSlots)
		w.set(c, 1+rnd.Uint32N(3*wheelSlots))
		w.set(c, at) // replaces
		want[c] = at
		if rnd.IntN(5) == 0 {
			w.set(c, 0)
			delete(want, c)
		}
	}
	for now := uint32(1); now < 3*wheelSlots+10; {
		for _, c := range w.advance(now, nil) {
			if at, ok := want[c]; !ok || at > now || at+8 < now {
				t.Fatalf("fired at %d, armed for %d (%v)", now, at, ok)
			}
			delete(want, c)
		}
		now += 1 + rnd.Uint32N(5)
	}
	if len(want) > 0 {
		t.Errorf("%d timers did not fire", len(want))
	}
	c := new(Conn)
	w.set(c, w.now+5)
	if due := w.advance(w.now+3*wheelSlots, nil); len(due) != 1 {
		t.Errorf("%d timers fired after a long sleep, want 1", len(due))
	}
}
