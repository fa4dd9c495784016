package hub

import (
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

// run is the frames of a group in one variant, encoded once for all its subscriptions. What the
// codec has nothing to say of has no frame in it.
type run struct {
	buf         *bufpool.Buffer // nil: not encoded yet
	first, last int32           // of flusher.ends
}

// frame is one publication of a run.
type frame struct {
	pub *protocol.Publication
	end int // in the run's buffer
}

func (r *run) len() int { return int(r.last - r.first) }

func (r *run) segment() bufpool.Segment {
	return bufpool.Segment{Buf: r.buf, End: len(r.buf.B), Frames: r.len()}
}

// framesOf is the frames of a run, valid until another run is encoded.
func (f *flusher) framesOf(r *run) []frame { return f.ends[r.first:r.last] }

// runOf is the run of g in one variant, encoded at first use.
func (f *flusher) runOf(g *group, v protocol.Variant) *run {
	r := &g.runs[v]
	if r.buf == nil {
		f.encode(g, v)
	}
	return r
}

// encode makes the run of g in one variant.
func (f *flusher) encode(g *group, v protocol.Variant) {
	h, buf := f.shard.hub, bufpool.Get(g.bytes)
	first := len(f.ends)
	e := g.first
	for range g.frames {
		p, before := f.entries[e].pub, len(buf.B)
		if buf.B, f.payload = h.appendFrame(buf.B, f.payload, v, p); len(buf.B) > before {
			f.ends = append(f.ends, frame{p, len(buf.B)})
		}
		e = f.entries[e].next
	}
	g.runs[v] = run{buf: buf, first: int32(first), last: int32(len(f.ends))}
	f.encodings += g.frames
}

// appendFrame appends p as one frame, or nothing when the codec has nothing to say of p. The payload
// goes through scratch, because its length stands in the header before it.
func (h *Hub) appendFrame(dst, scratch []byte, v protocol.Variant, p *protocol.Publication) (frame, newScratch []byte) {
	if scratch = h.codecs[v].AppendPublication(scratch[:0], p); len(scratch) > 0 {
		dst = websocket.AppendFrame(dst, h.ops[v], scratch)
	}
	return dst, scratch
}

// appendParts appends the frames of r that are wanted, and counts them.
func (f *flusher) appendParts(
	segs []bufpool.Segment, r *run, isWanted func(*protocol.Publication) bool,
) (_ []bufpool.Segment, frames int) {
	start, end, n := 0, 0, 0 // of the part that is not appended yet
	for _, fr := range f.framesOf(r) {
		if isWanted(fr.pub) {
			n++
		} else {
			if n > 0 {
				segs = append(segs, bufpool.Segment{Buf: r.buf, Start: start, End: end, Frames: n})
			}
			start, n, frames = fr.end, 0, frames+n
		}
		end = fr.end
	}
	if n > 0 {
		segs = append(segs, bufpool.Segment{Buf: r.buf, Start: start, End: end, Frames: n})
	}
	return segs, frames + n
}

// cutOf is the filter of c with its cut of r, made at first use; nil when that is not worth keeping,
// because c has one member or too much is kept already.
func (f *flusher) cutOf(r *run, c *cohort) *filter {
	cut := c.filter()
	if cut.round == f.number {
		return cut
	}
	if len(c.rest.subs) == 0 || len(f.parts) >= maxScratch {
		return nil
	}
	first := len(f.parts)
	var frames int
	f.parts, frames = f.appendParts(f.parts, r, cut.Passes)
	cut.round, cut.first, cut.last, cut.frames = f.number, int32(first), int32(len(f.parts)), int32(frames)
	return cut
}
