package frames

import (
	"sync/atomic"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
)

// Series is publications in order, encoded once for each variant, for any number of connections that want them
// at different times. It is immutable, but for what it remembers, and safe for concurrent use.
//
// Its buffers are never released: what is left to connections outlives it, and the garbage collector has
// the rest.
type Series struct {
	publications []*protocol.Publication
	encoded      [protocol.NumVariants]atomic.Pointer[encoded]
}

// encoded is all of a Series in one variant.
type encoded struct {
	buf  *bufpool.Buffer
	ends []int // in buf, behind each publication
}

// NewSeries makes a Series of publications, which must not change.
func NewSeries(ps []*protocol.Publication) *Series { return &Series{publications: ps} }

// Len is how many publications s has.
func (s *Series) Len() int { return len(s.publications) }

// At is one of them.
func (s *Series) At(i int) *protocol.Publication { return s.publications[i] }

// Chunk is a part of a Series in one variant.
type Chunk struct {
	Segments []bufpool.Segment
	Next     int // the index behind the last publication that was looked at
	Frames   int
	Bytes    int
	Last     *protocol.Publication // of the frames; nil without
}

// Chunk takes publications from one index on, before another one, of which the frames that are wanted are at most
// so many and of so many bytes; but one frame is always taken. Two calls that are the first in a variant may
// both encode.
func (s *Series) Chunk(c *Codecs, v protocol.Variant, from, before, maxFrames, maxBytes int, isWanted func(*protocol.Publication) bool) Chunk {
	e := s.encoded[v].Load()
	if e == nil {
		e = s.encode(c, v)
		s.encoded[v].Store(e)
	}
	chunk := Chunk{Next: from}
	for ; chunk.Next < before; chunk.Next++ {
		start, end, p := e.start(chunk.Next), e.ends[chunk.Next], s.publications[chunk.Next]
		if start == end || !isWanted(p) {
			continue
		}
		if chunk.Frames > 0 && (chunk.Frames == maxFrames || chunk.Bytes+end-start > maxBytes) {
			break
		}
		chunk.add(e.buf, start, end, p)
	}
	return chunk
}

// add adds a frame, to the segment before it if it follows that.
func (c *Chunk) add(buf *bufpool.Buffer, start, end int, p *protocol.Publication) {
	if n := len(c.Segments); n > 0 && c.Segments[n-1].End == start {
		c.Segments[n-1].End = end
		c.Segments[n-1].Frames++
	} else {
		c.Segments = append(c.Segments, bufpool.Segment{Buf: buf, Start: start, End: end, Frames: 1})
	}
	c.Frames++
	c.Bytes += end - start
	c.Last = p
}

func (s *Series) encode(c *Codecs, v protocol.Variant) *encoded {
	size := 0
	for _, p := range s.publications {
		size += p.Size()
	}
	e := &encoded{buf: bufpool.Get(size), ends: make([]int, len(s.publications))}
	var scratch []byte
	for i, p := range s.publications {
		e.buf.B, scratch = c.Append(e.buf.B, scratch, v, p)
		e.ends[i] = len(e.buf.B)
	}
	return e
}

// start is where the i-th publication begins.
func (e *encoded) start(i int) int {
	if i == 0 {
		return 0
	}
	return e.ends[i-1]
}
