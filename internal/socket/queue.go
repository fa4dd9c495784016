package socket

import (
	"sync"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/websocket"
)

// queue is what waits to be written on one connection: segments of whole frames, except
// that the first may have been written in part. It owns one reference to each buffer.
//
// Small frames share a buffer, and so do equal large replies of several connections: what a
// queue makes the server hold is about what its bytes are.
type queue struct {
	segs   []bufpool.Segment
	head   int // segs[:head] have been written
	frames int // frames that are not wholly written
	bytes  int
	begun  int // bytes at the front that complete a frame whose start has been written
	large  int // bytes of the largest frame that was let in beyond the limits: they do not count

	pack  *bufpool.Buffer // of the last segment, if only this queue has it; nil otherwise
	taken uint32          // tick at which the peer has last taken something, while reading pauses
}

const (
	// maxPack is the size of the buffers that small frames share.
	maxPack = 8 << 10
	// maxPacked is the size of frames that are copied although they have a buffer for themselves.
	maxPacked = maxPack / 4
)

var queues = sync.Pool{New: func() any { return new(queue) }}

// add queues s. It keeps the buffer, unless that is mostly something else, or there is room for
// small frames anyway: then s is copied.
func (q *queue) add(s bufpool.Segment) {
	size, room := s.End-s.Start, 0
	if q.pack != nil {
		room = cap(q.pack.B) - len(q.pack.B)
	}
	if 2*size >= cap(s.Buf.B) && (size > maxPacked || size > room) {
		s.Buf.Retain()
		q.push(s)
		return
	}
	if size > room {
		next := size
		if q.pack != nil { // which is full
			next = max(size, min(2*cap(q.pack.B), maxPack))
		}
		pack := bufpool.Get(next)
		q.push(bufpool.Segment{Buf: pack})
		q.pack = pack
	}
	q.pack.B = append(q.pack.B, s.Bytes()...)
	last := &q.segs[len(q.segs)-1]
	last.End += size
	last.Frames += s.Frames
	q.frames += s.Frames
	q.bytes += size
}

// push takes over one reference to s.Buf.
func (q *queue) push(s bufpool.Segment) {
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

// front is the segment to write next. The queue must not be empty.
func (q *queue) front() bufpool.Segment { return q.segs[q.head] }

// wrote notes that n bytes at the front have been written, at most the front segment.
func (q *queue) wrote(n int) {
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

// isEmpty reports whether nothing waits.
func (q *queue) isEmpty() bool { return q.head == len(q.segs) }

// dropToFrame drops everything but the rest of a frame whose start has been written, which
// the peer needs to understand what comes after.
func (q *queue) dropToFrame() {
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

// free gives back all buffers and the queue itself.
func (q *queue) free() {
	for i := q.head; i < len(q.segs); i++ {
		q.segs[i].Buf.Release()
	}
	clear(q.segs)
	*q = queue{segs: q.segs[:0]}
	if cap(q.segs) <= 64 {
		queues.Put(q)
	}
}

// fits reports how many of the frames of s may still wait under the endpoint's limits
// (pusher 7.7), and where they end.
func (q *queue) fits(s bufpool.Segment, ep *Endpoint) (frames, end int) {
	size := s.End - s.Start
	if q.frames+s.Frames <= ep.MaxQueueFrames && q.admits(size, ep) {
		return s.Frames, s.End
	}
	end = s.Start
	for frames < s.Frames && q.frames+frames < ep.MaxQueueFrames {
		n := websocket.FrameLen(s.Buf.B[end:s.End])
		if n == 0 || !q.admits(end+n-s.Start, ep) && q.frames+frames > 0 {
			break
		}
		frames++
		end += n
	}
	return frames, end
}

// admits reports whether so many bytes more may wait.
func (q *queue) admits(more int, ep *Endpoint) bool {
	return ep.MaxQueueBytes == 0 || q.bytes+more <= ep.MaxQueueBytes+q.large
}

// isOver reports whether more waits than the endpoint allows.
func (q *queue) isOver(ep *Endpoint) bool { return q.frames > ep.MaxQueueFrames || !q.admits(0, ep) }

// allowFront lets the first frame in, which always fits an empty queue.
func (q *queue) allowFront(ep *Endpoint) {
	if q.admits(0, ep) {
		return
	}
	if q.large = q.begun; q.begun == 0 {
		q.large = websocket.FrameLen(q.front().Bytes())
	}
}

// allowReply lets a frame of size bytes in that is there already.
func (q *queue) allowReply(size int, ep *Endpoint) {
	if !q.admits(0, ep) {
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

// trim drops the frames at the end that exceed the endpoint's limits, of a queue of one
// segment, and says how many they were.
func (q *queue) trim(ep *Endpoint) (dropped int) {
	s := &q.segs[q.head]
	begun := bufpool.Segment{Buf: s.Buf, Start: s.Start, End: s.Start + q.begun}
	if q.begun > 0 {
		begun.Frames = 1
	}
	rest := bufpool.Segment{Buf: s.Buf, Start: begun.End, End: s.End, Frames: s.Frames - begun.Frames}
	held := queue{frames: begun.Frames, bytes: q.begun}
	frames, end := held.fits(rest, ep)
	dropped = rest.Frames - frames
	q.frames, q.bytes = begun.Frames+frames, end-s.Start
	s.Frames, s.End = q.frames, end
	return dropped
}
