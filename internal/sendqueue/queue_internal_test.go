package sendqueue

import (
	"bytes"
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

// S03 and S04 of pusher 8.10.
func TestTheQueueIsFullExactlyAtItsLimits(t *testing.T) {
	t.Parallel()
	kilobyte := 1024 - 4 // with its header a frame of exactly 1024 bytes
	for _, c := range []struct {
		name           string
		limits         Limits
		frame          int
		wantFit        int
		wantFitInBatch int
	}{
		{"S03: bytes only, frames of 1024 bytes", Limits{Frames: 10_000, Bytes: 65536}, kilobyte, 64, 64},
		{"bytes only, tiny frames are capped", Limits{Frames: 10_000, Bytes: 1 << 30}, 0, 10_000, 10_000},
		{"messages only", Limits{Frames: 1000}, 100_000, 1000, 1000},
		{"S04: both, many tiny frames", Limits{Frames: 100, Bytes: 65536}, 10, 100, 100},
		{"S04: both, few large frames", Limits{Frames: 100, Bytes: 65536}, 20_000, 3, 3},
	} {
		var q Queue
		n := 0
		for ; n < 20_000; n++ {
			s := framesOf(c.frame)
			if fit, _ := q.Fits(s, c.limits); fit == 0 {
				break
			}
			q.Add(s)
			s.Buf.Release()
		}
		if n != c.wantFit {
			t.Errorf("%s: %d frames fit, want %d", c.name, n, c.wantFit)
		}
		batch := framesOf(slices.Repeat([]int{c.frame}, c.wantFit+5)...)
		var empty Queue
		if fit, _ := empty.Fits(batch, c.limits); fit != c.wantFitInBatch {
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
		var q Queue
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
			q.Add(s)
			s.Buf.Release()
		}
		written := 0
		for written < total && rnd.IntN(20) > 0 {
			n := 1 + rnd.IntN(q.Front().End-q.Front().Start)
			q.Wrote(n)
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
		if q.bytes != begun || (begun > 0) != (q.frames == 1) || q.IsEmpty() != (begun == 0) {
			t.Fatalf("after dropping: bytes %d frames %d, want only the %d begun bytes", q.bytes, q.frames, begun)
		}
	}
}

// What is in flight is accounted for once it is written, and so is the frame in which it ends.
func TestDropBehindKeepsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		var q Queue
		var ends []int // of frames, in the stream of all bytes
		total := 0
		for range 1 + rnd.IntN(3) {
			s := framesOf(rnd.IntN(3000), rnd.IntN(300), rnd.IntN(300))
			for pos := 0; pos < s.End; {
				pos += websocket.FrameLen(s.Buf.B[pos:])
				ends = append(ends, total+pos)
			}
			total += s.End
			q.Add(s)
			s.Buf.Release()
		}
		written := rnd.IntN(len(q.Front().Bytes()))
		if written > 0 {
			q.Wrote(written)
		}
		inFlight := 1 + rnd.IntN(len(q.Front().Bytes()))
		q.DropBehind(inFlight)
		end, frames := 0, 0
		for _, e := range ends {
			if e > written && end < written+inFlight {
				end = e
				frames++
			}
		}
		if q.Bytes() != end-written || q.Frames() != frames {
			t.Fatalf("%d in flight after %d: %d bytes and %d frames are left, want %d and %d", inFlight, written, q.Bytes(), q.Frames(), end-written, frames)
		}
		if q.Wrote(inFlight); q.Bytes() > 0 {
			q.Wrote(q.Bytes())
		}
		if !q.IsEmpty() || q.Bytes() != 0 || q.Frames() != 0 {
			t.Fatalf("%d bytes and %d frames are left when all is written", q.Bytes(), q.Frames())
		}
	}
}

func TestOneFrameFitsAnEmptyQueueHoweverLarge(t *testing.T) {
	t.Parallel()
	limits := Limits{Frames: 10, Bytes: 1000}
	for _, c := range []struct {
		name    string
		waiting []int // payloads of frames that wait, the first of which may be large
		written int   // bytes of them
		batch   []int
		want    int
	}{
		{"a large frame alone", nil, 0, []int{50_000}, 1},
		{"of several large frames the first", nil, 0, []int{50_000, 50_000}, 1},
		{"a large frame and small ones that fit by themselves", []int{50_000}, 0, []int{500, 480}, 2},
		{"and no more than would fit without it", []int{50_000}, 0, []int{500, 500}, 1},
		{"also once its beginning is gone", []int{50_000}, 20_000, []int{500, 500}, 1},
		{"a large frame behind a small one does not", []int{10}, 0, []int{50_000}, 0},
		{"a second large frame does not", []int{50_000}, 0, []int{50_000}, 0},
	} {
		var q Queue
		if len(c.waiting) > 0 {
			q.Add(framesOf(c.waiting...))
		}
		if c.written > 0 {
			q.Wrote(c.written)
		}
		if !q.IsEmpty() {
			q.AllowFront(limits)
		}
		if got, _ := q.Fits(framesOf(c.batch...), limits); got != c.want {
			t.Errorf("%s: %d frames fit, want %d", c.name, got, c.want)
		}
	}
}

// What a queue keeps is at most twice what waits in it and one small buffer, whatever buffers
// the frames came in.
func TestAQueueKeepsAboutWhatWaitsInIt(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	part := func(size, of int) bufpool.Segment {
		buf := bufpool.Get(of)
		buf.B = websocket.AppendFrame(buf.B, websocket.OpText, make([]byte, size))
		s := bufpool.Segment{Buf: buf, End: len(buf.B), Frames: 1}
		buf.B = buf.B[:cap(buf.B)]
		return s
	}
	for name, next := range map[string]func() bufpool.Segment{
		"pongs":                       func() bufpool.Segment { return part(4, 512) },
		"one frame of a large batch":  func() bufpool.Segment { return part(100, 256<<10) },
		"large parts of a batch":      func() bufpool.Segment { return part(20_000, 256<<10) },
		"small and large in turns":    func() bufpool.Segment { return part(4+rnd.IntN(2)*1100, 512) },
		"frames of every size":        func() bufpool.Segment { return part(rnd.IntN(30_000), 64<<10) },
		"frames that fill their room": func() bufpool.Segment { return part(500, 512) },
	} {
		var q Queue
		for q.bytes < 1<<20 {
			s := next()
			q.Add(s)
			s.Buf.Release()
			if held := held(&q); held > 2*q.bytes+2*maxPack {
				t.Fatalf("%s: %d bytes wait and %d are kept", name, q.bytes, held)
			}
		}
		if got, want := len(q.segs), 6000; got > want {
			t.Errorf("%s: %d segments, want at most %d", name, got, want)
		}
		q.Free()
	}
}

// Small frames share buffers where no other queue would keep theirs.
func TestFramesForOneConnectionSharePacks(t *testing.T) {
	t.Parallel()
	for _, isForOne := range []bool{false, true} {
		var q Queue
		for range 1000 {
			buf := bufpool.Get(500) // which may be one that has grown
			buf.B = websocket.AppendFrame(buf.B, websocket.OpText, make([]byte, 500))
			buf.IsForOne = isForOne
			q.Add(bufpool.Segment{Buf: buf, End: len(buf.B), Frames: 1})
			buf.Release()
		}
		if isPacked := len(q.segs) < 100; isPacked != isForOne {
			t.Errorf("frames for one: %t: 1000 frames are in %d segments", isForOne, len(q.segs))
		}
		q.Free()
	}
}

// What waits of a large write that the socket took in part does not keep all of its buffer.
func TestTightenLeavesWhatWaits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ size, wrote, want int }{
		"nothing was written": {100 << 10, 0, 128 << 10},
		"some was written":    {100 << 10, 10 << 10, 128 << 10},
		"most was written":    {100 << 10, 95 << 10, 8 << 10},
		"all was written":     {100 << 10, 100 << 10, 0},
		"in a small buffer":   {300, 200, 512},
	} {
		buf := &bufpool.Buffer{B: make([]byte, 0, bufpool.Room(tt.size))}
		buf.Retain()
		for i := range tt.size {
			buf.B = append(buf.B, byte(i))
		}
		want := bytes.Clone(buf.B[tt.wrote:])
		var q Queue
		q.Push(bufpool.Segment{Buf: buf, End: tt.size, Frames: 1})
		if tt.wrote > 0 {
			q.Wrote(tt.wrote)
		}
		q.Tighten()
		var got []byte
		for s := range q.All() {
			got = append(got, s.Bytes()...)
		}
		isTight := held(&q) == tt.want || held(&q) > tt.want && held(&q) < 2*tt.want // a pool may lend a buffer that has grown
		if !bytes.Equal(got, want) || q.Bytes() != len(want) || !isTight {
			t.Errorf("%s: %d bytes wait in %d, want %d in %d", name, len(got), held(&q), len(want), tt.want)
		}
	}
}

func held(q *Queue) (n int) {
	for s := range q.All() {
		n += cap(s.Buf.B)
	}
	return n
}
