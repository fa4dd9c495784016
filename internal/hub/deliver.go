package hub

import (
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
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
	for i := range f.groups {
		if f.groups[i].n == 0 {
			continue
		}
		for sub := sh.walk(f.groups[i].list); sub != nil; sub = sh.step() {
			s := sub.subscriber
			if s.own.ownNext == nil {
				continue
			}
			f.collected = append(f.collected, place{sub, int32(i), s.collected})
			s.collected = int32(len(f.collected))
			sub.isCollected = true
		}
		sh.mu.Unlock()
	}
}

// deliver writes the run of g to its subscriptions.
//
//millrace:hot BenchmarkBroadcast BenchmarkTopics TestBroadcastAllocs
func (f *flusher) deliver(g *group) {
	sh := f.shard
	for sub := sh.walk(g.list); sub != nil; sub = sh.step() {
		s := sub.subscriber
		f.segs = f.segs[:0]
		if sub.isCollected {
			f.addCollectedLocked(s) // nothing, when it came with an earlier group
		} else {
			f.addSegmentsLocked(g, sub)
		}
		if len(f.segs) > 0 {
			s.conn.WriteSegments(f.segs)
			f.writes++
		}
		if f.asked.isAsked {
			f.asked = asked{}
		}
	}
	sh.mu.Unlock()
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
// subscription that was closed meanwhile, or closed and opened again, is no longer marked.
func (f *flusher) addCollectedLocked(s *Subscriber) {
	for i := s.collected; i != 0; {
		p := &f.collected[i-1]
		if p.sub.isCollected {
			f.addSegmentsLocked(&f.groups[p.group], p.sub)
		}
		i = p.next
	}
	s.collected = 0
}

// addSegmentsLocked adds what sub gets of g to f.segs.
func (f *flusher) addSegmentsLocked(g *group, sub *Subscription) {
	switch {
	case sub.state == live && !sub.subscriber.isExcepted:
		f.segs = append(f.segs, *f.runOf(g, sub.subscriber.variant))
		f.frames += g.frames
	case sub.isFollow:
		f.followLocked(g, sub)
	case sub.state == held:
		f.keepLocked(g, sub)
	case sub.state == filtered && !sub.subscriber.isExcepted:
		f.addFilteredLocked(g, sub)
	default:
		f.addWantedLocked(g, sub)
	}
}

func (f *flusher) keepLocked(g *group, sub *Subscription) {
	limit := f.shard.hub.maxHeld
	e := g.first
	for range g.frames {
		sub.keepLocked(f.entries[e].pub, limit)
		e = f.entries[e].next
	}
}

// addWantedLocked adds the run of g without the frames that sub must not get.
func (f *flusher) addWantedLocked(g *group, sub *Subscription) {
	segs, frames := f.appendParts(f.segs, g, f.runOf(g, sub.subscriber.variant), func(p *protocol.Publication) bool {
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
	f.frames += frames
}

// appendParts appends run, which is of g, without the frames that are not wanted, and counts
// those that are.
func (f *flusher) appendParts(
	segs []bufpool.Segment, g *group, run *bufpool.Segment, isWanted func(*protocol.Publication) bool,
) (_ []bufpool.Segment, frames int) {
	part := bufpool.Segment{Buf: run.Buf, Start: run.Start, End: run.Start}
	e := g.first
	for range g.frames {
		size := websocket.FrameLen(run.Buf.B[part.End:run.End])
		if isWanted(f.entries[e].pub) {
			part.Frames++
			part.End += size
			frames++
		} else {
			segs = appendPart(segs, part)
			start := part.End + size
			part = bufpool.Segment{Buf: run.Buf, Start: start, End: start}
		}
		e = f.entries[e].next
	}
	return appendPart(segs, part), frames
}

func appendPart(segs []bufpool.Segment, part bufpool.Segment) []bufpool.Segment {
	if part.Frames > 0 {
		segs = append(segs, part)
	}
	return segs
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
		sub.isCollected = false
		sub.subscriber.collected = 0
	}
	sh.mu.Unlock()
	clear(f.excepted)
	clear(f.collected)
	f.excepted, f.collected = reuse(f.excepted), reuse(f.collected)
}
