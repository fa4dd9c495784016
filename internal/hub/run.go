package hub

import (
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/protocol"
)

// runOf is the run of g in one variant, encoded at first use for all subscriptions of the group.
func (f *flusher) runOf(g *group, v protocol.Variant) *frames.Run {
	r := &g.runs[v]
	if !r.IsEncoded() {
		f.encode(g, v)
	}
	return r
}

// encode makes the run of g in one variant.
func (f *flusher) encode(g *group, v protocol.Variant) {
	r := f.encoder.Begin(g.bytes, g.n == 1)
	for n, e := 0, g.First; n < g.frames; n++ {
		var p *protocol.Publication
		p, e = f.chains.At(e)
		f.encoder.Append(&r, v, p)
	}
	g.runs[v] = r
	f.encodings += g.frames
}

// cutOf is the filter of c with its cut of r, made at first use; nil when that is not worth keeping,
// because c has one member or too much is kept already.
func (f *flusher) cutOf(r *frames.Run, c *cohort) *filter {
	cut := c.filter()
	if cut.round == f.number {
		return cut
	}
	if len(c.rest.subs) == 0 || len(f.parts) >= maxScratch {
		return nil
	}
	first := len(f.parts)
	var n int
	f.parts, n = f.encoder.AppendParts(f.parts, r, cut.Passes)
	cut.round, cut.first, cut.last, cut.frames = f.number, int32(first), int32(len(f.parts)), int32(n)
	return cut
}
