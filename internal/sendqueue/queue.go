package sendqueue

import (
	"iter"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/websocket"
)

// Queue is what waits to be written on one connection: segments of whole frames, except
// that the first may have been written in part. It owns one reference to each buffer. It is guarded
// by its owner.
//
// Small frames share a buffer: what a queue makes the server hold is about what its bytes are.
type Queue struct {
	segs   []bufpool.Segment
	head   int // segs[:head] have been written
	frames int // frames that are not wholly written
	bytes  int
	begun  int // bytes at the front that complete a frame whose start has been written
	large  int // bytes of the largest frame that was let in beyond the limits: they do not count

	pack *bufpool.Buffer // of the last segment, if only this queue has it; nil otherwise

	// Note is the owner's, and the queue never looks at it.
	Note uint32
}

// Limits are how much may wait in a queue.
type Limits struct {
	Frames int
	Bytes  int // zero bounds frames only; one frame always fits an empty queue
}

const (
	// maxPack is the size of the buffers that small frames share.
	maxPack = 8 << 10
	// maxPacked is the size of frames that are copied although they have a buffer for themselves.
	maxPacked = maxPack / 4
)

var queues = sync.Pool{New: func() any { return new(Queue) }}

// Get is an empty queue, to be given back by Free.
func Get() *Queue { return queues.Get().(*Queue) }

// Frames is how many frames wait that are not wholly written.
func (q *Queue) Frames() int { return q.frames }

// Bytes is how many bytes wait.
func (q *Queue) Bytes() int { return q.bytes }

// All is what waits, in order.
func (q *Queue) All() iter.Seq[bufpool.Segment] { return slices.Values(q.segs[q.head:]) }

// Add queues s. It keeps the buffer, unless that is mostly something else; for small frames also unless
// there is room for them anyway, or no other queue would keep it: then s is copied.
func (q *Queue) Add(s bufpool.Segment) {
	size, room := s.End-s.Start, 0
	if q.pack != nil {
		room = cap(q.pack.B) - len(q.pack.B)
	}
	if 2*size >= cap(s.Buf.B) && (size > maxPacked || size > room && !s.Buf.IsForOne) {
		s.Buf.Retain()
		q.Push(s)
		return
	}
	if size > room {
		next := size
		if q.pack != nil { // which is full
			next = max(size, min(2*cap(q.pack.B), maxPack))
		}
		pack := bufpool.Get(next)
		q.Push(bufpool.Segment{Buf: pack})
		q.pack = pack
	}
	q.pack.B = append(q.pack.B, s.Bytes()...)
	last := &q.segs[len(q.segs)-1]
	last.End += size
	last.Frames += s.Frames
	q.frames += s.Frames
	q.bytes += size
}

// Push takes over one reference to s.Buf.
func (q *Queue) Push(s bufpool.Segment) {
	q.pack = nil
	if q.head > 32 && q.head*2 > len(q.segs) {
		n := copy(q.segs, q.segs[q.head:])
		clear(q.segs[n:])
		q.segs, q.head = q.segs[:n], 0
	}
	q.segs = append(q.segs, s)
	q.frames += s.Frames
	q.bytes += s.End - s.Start
}

// Front is the segment to write next. The queue must not be empty.
func (q *Queue) Front() bufpool.Segment { return q.segs[q.head] }

// Wrote notes that n bytes at the front have been written, at most the front segment.
func (q *Queue) Wrote(n int) {
	s := &q.segs[q.head]
	if n == s.End-s.Start {
		if s.Buf == q.pack {
			q.pack = nil
		}
		q.frames -= s.Frames
		q.bytes -= n
		q.begun = 0
		s.Buf.Release()
		*s = bufpool.Segment{}
		q.head++
		return
	}
	whole, begun := cutFrames(s.Bytes(), n, q.begun)
	q.frames -= whole
	q.bytes -= n
	q.begun = begun
	s.Frames -= whole
	s.Start += n
}

// Tighten moves the first segment to a smaller buffer if most of its buffer is something else, such as
// what has been written.
func (q *Queue) Tighten() {
	if q.IsEmpty() {
		return
	}
	s := &q.segs[q.head]
	size := s.End - s.Start
	if 2*size >= cap(s.Buf.B) || bufpool.Room(size) >= cap(s.Buf.B) {
		return
	}
	small := bufpool.Get(size)
	small.B = append(small.B, s.Bytes()...)
	s.Buf.Release()
	s.Buf, s.Start, s.End = small, 0, size
}

// IsEmpty reports whether nothing waits.
func (q *Queue) IsEmpty() bool { return q.head == len(q.segs) }

// DropBehind drops everything but the n bytes at the front that are being written, and the rest of
// the frame that they, or what was written before, leave begun: the peer needs it to understand what
// comes after.
func (q *Queue) DropBehind(n int) {
	if n == 0 {
		q.dropToFrame()
		return
	}
	begun := q.begun
	frames, rest := cutFrames(q.Front().Bytes(), n, begun)
	if rest > 0 {
		frames++
	}
	q.begun = n + rest
	q.dropToFrame()
	q.frames, q.segs[q.head].Frames = frames, frames
	q.begun = begun
}

// dropToFrame drops everything but the rest of a frame whose start has been written.
func (q *Queue) dropToFrame() {
	keep := q.begun
	q.pack = nil
	for i := q.head; i < len(q.segs); i++ {
		s := &q.segs[i]
		if i == q.head && keep > 0 {
			s.End, s.Frames = s.Start+keep, 1
			continue
		}
		s.Buf.Release()
		*s = bufpool.Segment{}
	}
	if keep > 0 {
		q.segs, q.frames, q.bytes = q.segs[:q.head+1], 1, keep
		return
	}
	q.segs, q.frames, q.bytes = q.segs[:q.head], 0, 0
}

// Free gives back all buffers and the queue itself.
func (q *Queue) Free() {
	for i := q.head; i < len(q.segs); i++ {
		q.segs[i].Buf.Release()
	}
	clear(q.segs)
	*q = Queue{segs: q.segs[:0]}
	if cap(q.segs) <= 64 {
		queues.Put(q)
	}
}

// Fits reports how many of the frames of s may still wait within the limits
// (pusher 7.7), and where they end.
func (q *Queue) Fits(s bufpool.Segment, l Limits) (frames, end int) {
	size := s.End - s.Start
	if q.frames+s.Frames <= l.Frames && q.admits(size, l) {
		return s.Frames, s.End
	}
	end = s.Start
	for frames < s.Frames && q.frames+frames < l.Frames {
		n := websocket.FrameLen(s.Buf.B[end:s.End])
		if n == 0 || !q.admits(end+n-s.Start, l) && q.frames+frames > 0 {
			break
		}
		frames++
		end += n
	}
	return frames, end
}

// admits reports whether so many bytes more may wait.
func (q *Queue) admits(more int, l Limits) bool {
	return l.Bytes == 0 || q.bytes+more <= l.Bytes+q.large
}

// IsOver reports whether more waits than the limits allow.
func (q *Queue) IsOver(l Limits) bool { return q.frames > l.Frames || !q.admits(0, l) }

// AllowFront lets the first frame in, which always fits an empty queue.
func (q *Queue) AllowFront(l Limits) {
	if q.admits(0, l) {
		return
	}
	if q.large = q.begun; q.begun == 0 {
		q.large = websocket.FrameLen(q.Front().Bytes())
	}
}

// AllowReply lets a frame of size bytes in that is there already.
func (q *Queue) AllowReply(size int, l Limits) {
	if !q.admits(0, l) {
		q.large = max(q.large, size)
	}
}

// cutFrames says what a partial write of n bytes of b did: how many frames it completed,
// and how many bytes complete the frame it left begun. b starts with the last begun bytes
// of a frame whose start went before.
func cutFrames(b []byte, n, begun int) (whole, rest int) {
	pos := 0
	for pos < n {
		size := begun
		if begun == 0 {
			size = websocket.FrameLen(b[pos:])
		}
		begun = 0
		if size == 0 { // not frames: the caller's error; treat all of it as one
			return whole, len(b) - n
		}
		if pos += size; pos <= n {
			whole++
		}
	}
	return whole, pos - n
}

// Trim drops the frames at the end that exceed the limits, of a queue of one
// segment, and says how many they were.
func (q *Queue) Trim(l Limits) (dropped int) {
	s := &q.segs[q.head]
	begun := bufpool.Segment{Buf: s.Buf, Start: s.Start, End: s.Start + q.begun}
	if q.begun > 0 {
		begun.Frames = 1
	}
	rest := bufpool.Segment{Buf: s.Buf, Start: begun.End, End: s.End, Frames: s.Frames - begun.Frames}
	held := Queue{frames: begun.Frames, bytes: q.begun}
	frames, end := held.Fits(rest, l)
	dropped = rest.Frames - frames
	q.frames, q.bytes = begun.Frames+frames, end-s.Start
	s.Frames, s.End = q.frames, end
	return dropped
}
