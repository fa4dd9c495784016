package hub

import "github.com/millrace/millrace/internal/protocol"

// chunk is how many subscriptions are written to under one hold of the shard's lock, so
// that a caller does not wait for a whole flush to subscribe or to leave.
const chunk = 64

// looks is how many cohorts are looked at under one hold of the shard's lock.
const looks = 16 * chunk

// yieldLocked gives the shard's lock away and takes it again, for some steps more.
func (f *flusher) yieldLocked(steps int32) {
	f.left = steps
	f.shard.mu.Unlock()
	defer f.shard.mu.Lock()
	if f.atYield != nil {
		f.atYield()
	}
}

// matchLocked begins the round with the list of g and the cohorts in it that can get something: all
// without a filter, and the ones whose filter may let something through.
//
//millrace:hot BenchmarkBroadcast BenchmarkTopics BenchmarkCohorts TestBroadcastAllocs TestCohortAllocs
func (f *flusher) matchLocked(g *group) {
	own := &g.list.own
	own.todo = own.len()
	g.n, g.variants, g.from, g.to = own.todo, 0, 0, 0
	if own.first != nil {
		g.variants = 1 << own.variant
	}
	if k := own.kin(); k != nil {
		g.from = int32(len(f.cohorts))
		f.matchOthersLocked(g, k)
		g.to = int32(len(f.cohorts))
	}
}

// beginLocked begins the round with a cohort behind the list's own, unless it has begun.
func (f *flusher) beginLocked(g *group, c *cohort) {
	if c.todo != noRound {
		return
	}
	c.todo = c.len()
	f.cohorts = append(f.cohorts, c)
	if g.n += c.todo; c.todo > 0 {
		g.variants |= 1 << c.variant
	}
}

// matchOthersLocked is matchLocked for the cohorts behind the list's own.
func (f *flusher) matchOthersLocked(g *group, own *kin) {
	c := own.next
	for ; c != nil && !c.isFiltered; c = c.next() {
		f.beginLocked(g, c)
	}
	if c == nil {
		return
	}
	before := g.n
	if isForAll := f.isForAll(g); isForAll || own.index() == nil {
		f.matchChainLocked(g, c, isForAll)
	} else {
		f.matchIndexLocked(g, own.index())
	}
	f.suppressed += g.frames * int(max(own.members-(g.n-before), 0))
}

// isForAll reports whether g has something that passes every filter.
func (f *flusher) isForAll(g *group) bool {
	for n, e := 0, g.First; n < g.frames; n++ {
		var p *protocol.Publication
		if p, e = f.chains.At(e); p.PassesAll() {
			return true
		}
	}
	return false
}

// matchChainLocked begins the round with c and those behind it that let something through. One that
// comes during the walk needs no visit, or is late.
func (f *flusher) matchChainLocked(g *group, c *cohort, isForAll bool) {
	for ; c != nil; c = c.next() {
		if isForAll || f.passesAny(g, c) {
			f.beginLocked(g, c)
		}
		if f.left--; f.left == 0 {
			f.yieldLocked(f.looks)
		}
	}
}

// passesAny reports whether the filter of c lets something of g through.
func (f *flusher) passesAny(g *group, c *cohort) bool {
	for n, e := 0, g.First; n < g.frames; n++ {
		var p *protocol.Publication
		if p, e = f.chains.At(e); c.filter().Passes(p) {
			return true
		}
	}
	return false
}

// matchIndexLocked begins the round with the cohorts that x has for the events of g.
func (f *flusher) matchIndexLocked(g *group, x *index) {
	e := g.First
	for range g.frames {
		var p *protocol.Publication
		p, e = f.chains.At(e)
		for at := x.byEvent.Take(p.Event, f.number); at != nil; at = at.Next() {
			f.beginLocked(g, at.Item)
			if f.left--; f.left == 0 {
				f.yieldLocked(f.looks)
			}
		}
	}
}
