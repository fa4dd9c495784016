// Package frames encodes publications once for all connections of one variant: as runs of whole
// WebSocket frames in one buffer, whose ends are kept, so that a part of a run can be given to a
// connection without looking at its bytes again.
//
// It must never know who gets a frame. It takes no lock and starts no goroutine: a flusher of package
// hub owns an [Encoder]; [Codecs] are immutable.
package frames

import (
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

// The capacities, in bytes and in elements, above which scratch is not kept for reuse.
const (
	maxPayload = 256 << 10
	maxFrames  = 16 << 10
)

// Codecs encode publications, by variant.
type Codecs struct {
	codecs [protocol.NumVariants]protocol.Codec
	ops    [protocol.NumVariants]websocket.Opcode
}

// NewCodecs makes Codecs. A variant that is not in use needs none.
func NewCodecs(codecs [protocol.NumVariants]protocol.Codec) *Codecs {
	c := &Codecs{codecs: codecs}
	for v, codec := range codecs {
		if c.ops[v] = websocket.OpText; codec != nil && codec.IsBinary(protocol.MessagePublication) {
			c.ops[v] = websocket.OpBinary
		}
	}
	return c
}

// Append appends p as one frame, or nothing when the codec has nothing to say of p. The payload goes
// through scratch, because its length stands in the header before it.
func (c *Codecs) Append(dst, scratch []byte, v protocol.Variant, p *protocol.Publication) (frame, newScratch []byte) {
	if scratch = c.codecs[v].AppendPublication(scratch[:0], p); len(scratch) > 0 {
		dst = websocket.AppendFrame(dst, c.ops[v], scratch)
	}
	return dst, scratch
}

// Encode makes one segment of publications, of about size bytes. The caller owns its buffer.
func (c *Codecs) Encode(v protocol.Variant, ps []*protocol.Publication, size int) bufpool.Segment {
	const payload = 512 // it grows when needed
	buf, scratch := bufpool.Get(size), bufpool.Get(payload)
	defer scratch.Release()
	n := 0
	for _, p := range ps {
		before := len(buf.B)
		if buf.B, scratch.B = c.Append(buf.B, scratch.B, v, p); len(buf.B) > before {
			n++
		}
	}
	return bufpool.Segment{Buf: buf, End: len(buf.B), Frames: n}
}

// Front is how much of pubs a run takes of at most so many frames, which is closed when it has so many
// bytes, and its size.
func Front(pubs []*protocol.Publication, frames, bytes int) (n, size int) {
	for n < len(pubs) && n < frames && size < bytes {
		size += pubs[n].Size()
		n++
	}
	return n, size
}

// Run is frames in one buffer, encoded by an Encoder. The zero Run is not encoded yet.
type Run struct {
	buf         *bufpool.Buffer
	first, last int32 // of Encoder.frames
}

// Frame is one publication of a run.
type Frame struct {
	Publication *protocol.Publication
	end         int // in the run's buffer
}

// IsEncoded reports whether r has been begun.
func (r *Run) IsEncoded() bool { return r.buf != nil }

// Len is how many frames r has.
func (r *Run) Len() int { return int(r.last - r.first) }

// Bytes is how many bytes they have.
func (r *Run) Bytes() int { return len(r.buf.B) }

// Segment is all of r.
func (r *Run) Segment() bufpool.Segment {
	return bufpool.Segment{Buf: r.buf, End: len(r.buf.B), Frames: r.Len()}
}

// Release gives the buffer of r back, if it has one.
func (r *Run) Release() {
	if r.buf != nil {
		r.buf.Release()
		*r = Run{}
	}
}

// Encoder makes runs, and keeps where their frames end until Reset.
type Encoder struct {
	codecs  *Codecs
	frames  []Frame
	payload []byte // scratch
}

// NewEncoder makes an Encoder.
func NewEncoder(c *Codecs) Encoder { return Encoder{codecs: c} }

// Begin begins a run of about size bytes, for one connection alone or for any number. Until another one
// begins, Append adds to it.
func (e *Encoder) Begin(size int, isForOne bool) Run {
	n := int32(len(e.frames))
	r := Run{buf: bufpool.Get(size), first: n, last: n}
	r.buf.IsForOne = isForOne
	return r
}

// Append adds p to r, which was begun last. What the codec has nothing to say of has no frame.
func (e *Encoder) Append(r *Run, v protocol.Variant, p *protocol.Publication) {
	before := len(r.buf.B)
	if r.buf.B, e.payload = e.codecs.Append(r.buf.B, e.payload, v, p); len(r.buf.B) > before {
		e.frames = append(e.frames, Frame{p, len(r.buf.B)})
		r.last++
	}
}

// Frames are the frames of r, valid until another run begins.
func (e *Encoder) Frames(r *Run) []Frame { return e.frames[r.first:r.last] }

// AppendParts appends the frames of r that are wanted, and counts them.
func (e *Encoder) AppendParts(
	segs []bufpool.Segment, r *Run, isWanted func(*protocol.Publication) bool,
) (_ []bufpool.Segment, n int) {
	start, end, part := 0, 0, 0 // of what is not appended yet
	for _, f := range e.Frames(r) {
		if isWanted(f.Publication) {
			part++
		} else {
			if part > 0 {
				segs = append(segs, bufpool.Segment{Buf: r.buf, Start: start, End: end, Frames: part})
			}
			start, part, n = f.end, 0, n+part
		}
		end = f.end
	}
	if part > 0 {
		segs = append(segs, bufpool.Segment{Buf: r.buf, Start: start, End: end, Frames: part})
	}
	return segs, n + part
}

// Reset forgets the frames of all runs, and scratch that a burst has made too large to keep.
func (e *Encoder) Reset() {
	clear(e.frames)
	if e.frames = e.frames[:0]; cap(e.frames) > maxFrames {
		e.frames = nil
	}
	if cap(e.payload) > maxPayload {
		e.payload = nil
	}
}
