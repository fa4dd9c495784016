package hub

import (
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/protocol"
)

// place is a subscription whose connection has several in this round, and its group.
type place struct {
	sub   *Subscription
	group int32
	next  int32 // index+1 of another place of the same connection
}

// collect finds the connections that have several subscriptions and notes what they get in
// this round, so that deliver can write all of it at once.
//
//millrace:hot BenchmarkTopics TestBroadcastAllocs
func (f *flusher) collect() {
	sh := f.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.left = f.chunk
	for _, o := range f.order {
		g := f.groupOf(o)
		f.collectLocked(int32(uint32(o)), &g.list.own)
		for _, c := range f.cohorts[g.from:g.to] {
			f.collectLocked(int32(uint32(o)), c)
		}
	}
}

// collectLocked is collect for what the round has still to visit of one cohort. A subscription that
// changes its place during the walk is noted once, or is visited alone.
func (f *flusher) collectLocked(group int32, c *cohort) {
	for i := c.todo; i > 0; {
		if f.left == 0 {
			f.yieldLocked(f.chunk)
			i = min(i, c.todo)
			continue
		}
		f.left--
		i--
		sub := c.at(i)
		s := sub.subscriber
		if s.own.ownNext == nil || sub.isCollectedLocked() {
			continue
		}
		f.collected = append(f.collected, place{sub, group, s.collected})
		s.collected = int32(len(f.collected))
		sub.setCollectedLocked(true)
	}
}

// deliver writes the runs of g to the subscriptions of its cohorts, and ends the round with its list.
// Subscriptions that have changed their cohort before the round came to them are last.
//
//millrace:hot BenchmarkBroadcast BenchmarkTopics BenchmarkCohorts TestBroadcastAllocs TestCohortAllocs
func (f *flusher) deliver(g *group) {
	sh, l := f.shard, g.list
	sh.mu.Lock()
	f.left = f.chunk
	f.visitLocked(g, &l.own)
	if l.own.kin() != nil {
		f.deliverOthersLocked(g)
	}
	l.own.todo = noRound
	sh.mu.Unlock()
	g.isOver = true
}

// deliverOthersLocked is deliver for the cohorts behind the list's own.
func (f *flusher) deliverOthersLocked(g *group) {
	cohorts := f.cohorts[g.from:g.to]
	for _, c := range cohorts {
		f.visitLocked(g, c)
	}
	if crowd := g.list.crowd(); crowd != nil {
		for i := 0; i < len(crowd.late); i++ { // more may come
			f.visitLocked(g, crowd.late[i])
		}
	}
	g.list.endRoundLocked(cohorts)
}

// visitLocked writes to the members of c that the round has not visited, unless there is nothing for
// any of them.
func (f *flusher) visitLocked(g *group, c *cohort) {
	if c.todo <= 0 {
		return
	}
	r := f.runOf(g, c.variant)
	if r.Len() == 0 {
		c.todo = 0
		return
	}
	var cut *filter
	if c.isFiltered {
		if cut = f.cutOf(r, c); cut != nil && cut.frames == 0 {
			f.suppressed += r.Len() * int(c.todo)
			c.todo = 0
			return
		}
	}
	for c.todo > 0 {
		if f.left == 0 {
			f.yieldLocked(f.chunk)
			continue
		}
		n := min(c.todo, f.left)
		f.left -= n
		c.todo -= n
		for i := c.todo + n - 1; i >= c.todo; i-- {
			if sub := c.at(i); !sub.isCollectedLocked() || sub.subscriber.collected != 0 { // otherwise it has all
				f.writeToLocked(r, cut, sub)
			}
		}
	}
}

// writeToLocked writes what the round has for the connection of sub: the run, or if it has several
// subscriptions all of it, with the first one.
func (f *flusher) writeToLocked(r *frames.Run, cut *filter, sub *Subscription) {
	s := sub.subscriber
	f.segs = f.segs[:0]
	if sub.isCollectedLocked() {
		f.addCollectedLocked(s)
	} else {
		f.addSegmentsLocked(r, cut, sub)
	}
	if len(f.segs) > 0 {
		s.conn.WriteSegments(f.segs)
		f.writes++
	}
	if f.asked.isAsked {
		f.asked = asked{}
	}
}

// writeLocked writes a part of what the round has for a connection, ahead of the rest.
func (f *flusher) writeLocked(s *Subscriber) {
	if len(f.segs) > 0 {
		s.conn.WriteSegments(f.segs)
		f.writes++
	}
	f.segs = f.segs[:0]
}

// addCollectedLocked adds the segments of all topics that s has in this round. A
// subscription that was closed after collect, or closed and opened again, is no longer marked. The
// round had nothing for one whose group is over.
func (f *flusher) addCollectedLocked(s *Subscriber) {
	for i := s.collected; i != 0; {
		p := &f.collected[i-1]
		if g := &f.groups[p.group]; p.sub.isCollectedLocked() && !g.isOver {
			f.addOneLocked(g, p.sub)
		}
		i = p.next
	}
	s.collected = 0
}

// addOneLocked adds what sub gets of g.
func (f *flusher) addOneLocked(g *group, sub *Subscription) {
	c := sub.cohort
	r := f.runOf(g, c.variant)
	if r.Len() == 0 {
		return
	}
	var cut *filter
	if c.isFiltered {
		cut = f.cutOf(r, c)
	}
	f.addSegmentsLocked(r, cut, sub)
}

// addSegmentsLocked adds what sub gets of r, the run of its group and variant, to f.segs. cut is that
// of its cohort, nil when there is none.
func (f *flusher) addSegmentsLocked(r *frames.Run, cut *filter, sub *Subscription) {
	c := sub.cohort
	switch {
	case c.mode != delivers:
		f.followLocked(r, sub)
	case sub.stateLocked() == live && !sub.subscriber.isExcepted && !c.isFiltered:
		f.segs = append(f.segs, r.Segment())
		f.frames += r.Len()
	case sub.stateLocked() == live && !sub.subscriber.isExcepted && cut != nil:
		f.addCutLocked(r, cut)
	case sub.stateLocked() == held:
		f.keepLocked(r, sub)
	default:
		f.addWantedLocked(r, sub)
	}
}

// addCutLocked adds what a filter lets through of r.
//
//millrace:hot BenchmarkFiltered BenchmarkCohorts TestFilteredAllocs TestCohortAllocs
func (f *flusher) addCutLocked(r *frames.Run, cut *filter) {
	f.segs = append(f.segs, f.parts[cut.first:cut.last]...)
	f.frames += int(cut.frames)
	f.suppressed += r.Len() - int(cut.frames)
}

func (f *flusher) keepLocked(r *frames.Run, sub *Subscription) {
	limit := f.shard.hub.maxHeld
	for _, fr := range f.encoder.Frames(r) {
		sub.keepLocked(fr.Publication, limit)
	}
}

// addWantedLocked adds r without the frames that sub must not get.
func (f *flusher) addWantedLocked(r *frames.Run, sub *Subscription) {
	segs, n := f.encoder.AppendParts(f.segs, r, func(p *protocol.Publication) bool {
		if !sub.wantsLocked(p) {
			return false
		}
		if !sub.passesLocked(p) {
			f.suppressed++
			return false
		}
		return true
	})
	f.segs = segs
	f.frames += n
}

// unmark takes back the marks of the round.
func (f *flusher) unmark() {
	if len(f.collected) == 0 && len(f.excepted) == 0 {
		return
	}
	sh := f.shard
	sh.mu.Lock()
	for _, s := range f.excepted {
		s.isExcepted = false
	}
	for i := range f.collected {
		sub := f.collected[i].sub
		sub.setCollectedLocked(false)
		sub.subscriber.collected = 0
	}
	sh.mu.Unlock()
	clear(f.excepted)
	clear(f.collected)
	f.excepted, f.collected = reuse(f.excepted), reuse(f.collected)
}
