package hub

import (
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/missed"
	"github.com/millrace/millrace/internal/protocol"
)

// Follow is Subscribe for a topic of changes (protocol.KindChange) whose state can be read
// again: when the connection is congested, or the hold overflows, the subscription stops
// being delivered to, lags, and only notes what it misses, in memory that is bounded for each
// subscription and for all of a connection. The owner then reads Lag, closes it, sends the
// present state and follows again.
//
// The owner hears of it from the connection, which tells when it is no longer congested; or,
// when the hold overflowed, by ErrLagging from Release. A lag may tell more than was missed
// only then: what Release covers can no longer be told from the rest.
func (s *Subscriber) Follow(sub *Subscription, t *protocol.Topic) {
	_ = s.open(sub, t, s.variant, notesAsKeys, nil)
}

// FollowWithoutKeys is Follow for state that can be read from [missed.Lag].From on without Keys: none
// are noted, and the lag says IsOverflow.
func (s *Subscriber) FollowWithoutKeys(sub *Subscription, t *protocol.Topic) {
	_ = s.open(sub, t, s.variant, notesFrom, nil)
}

// Lag reports what sub misses, and whether it lags at all. Keys are the caller's own.
func (sub *Subscription) Lag() (missed.Lag, bool) {
	s := sub.subscriber
	if s == nil {
		return missed.Lag{}, false
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.stateLocked() != lagging {
		return missed.Lag{}, false
	}
	return sub.hold.missed.Lag(), true
}

// Passed is [Hub.Passed] for sub alone; 0 when it is closed.
func (sub *Subscription) Passed() uint64 {
	s := sub.subscriber
	if s == nil {
		return 0
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.cohort == nil {
		return 0
	}
	return sub.cohort.list.passed.Load()
}

// Sent returns the frames and bytes delivered since the last call to a subscription made by
// Follow. Closing and following again does not end the count.
func (sub *Subscription) Sent() (frames, bytes int) {
	s := sub.subscriber
	if s == nil {
		return 0, 0
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	frames, bytes = sub.sent.Frames(), sub.sent.Bytes()
	sub.sent = 0
	return frames, bytes
}

// missLocked notes p as missed, unless it was not for sub anyway. A subscription that was
// delivered to lags from then on.
func (sub *Subscription) missLocked(p *protocol.Publication) {
	if sub.after.Covers(p.Position) || p.Excepts(sub.subscriber.id) {
		return
	}
	if sub.hold == nil {
		sub.hold = new(hold)
	}
	if sub.isDeliveredLocked() {
		sub.lagLocked()
	}
	s, before := sub.subscriber, sub.hold.missed.Size()
	limit := 0
	if h := s.shard.hub; sub.cohort.mode == notesAsKeys {
		limit = min(h.maxLag, h.maxOwnLag-int(s.lag)+before-missed.FirstBytes)
	}
	sub.hold.missed = sub.hold.missed.Add(p, limit)
	s.lag += uint32(sub.hold.missed.Size() - before)
}

// forgetMissedLocked makes room for what other subscriptions of the connection miss. The caller
// drops the hold.
func (sub *Subscription) forgetMissedLocked() {
	if sub.hold != nil {
		sub.subscriber.lag -= uint32(sub.hold.missed.Size())
	}
}

// lagLocked makes sub lag.
func (sub *Subscription) lagLocked() {
	m := sub.subscriber.shard.hub.metrics
	m.lags.Inc()
	m.lagging.Inc()
	sub.setStateLocked(lagging)
}

// asked is what a connection with subscriptions made by Follow has answered in a round.
type asked struct {
	isAsked   bool
	isRefused bool // it is congested
	left      int  // bytes that the round has for it and that it was not asked about
	bytes     int  // that it still takes without being asked again
	frames    int
}

// followLocked adds what sub, made by Follow, gets of g, or notes that sub misses it.
//
//millrace:hot BenchmarkFollow TestFollowAllocs
func (f *flusher) followLocked(r *frames.Run, sub *Subscription) {
	if sub.stateLocked() == held {
		f.keepLocked(r, sub)
		return
	}
	if sub.stateLocked() == lagging {
		f.missLocked(r, sub)
		return
	}
	s := sub.subscriber
	if !f.admitsLocked(s, r) {
		f.missLocked(r, sub)
		return
	}
	first, before := len(f.segs), f.frames
	if sub.stateLocked() == live && !s.isExcepted {
		f.segs = append(f.segs, r.Segment())
		f.frames += r.Len()
	} else {
		f.addWantedLocked(r, sub)
	}
	bytes := 0
	for _, part := range f.segs[first:] {
		bytes += part.End - part.Start
	}
	sub.sent = sub.sent.Add(f.frames-before, bytes)
}

func (f *flusher) missLocked(r *frames.Run, sub *Subscription) {
	for _, fr := range f.encoder.Frames(r) {
		sub.missLocked(fr.Publication)
	}
}

// admitsLocked reports whether s takes r now. The connection is asked once, about all that
// the round has for it, unless that is more than may safely be written at a time: then what
// was added is written, and it is asked about the rest.
func (f *flusher) admitsLocked(s *Subscriber, r *frames.Run) bool {
	a, size := &f.asked, r.Bytes()
	if a.isRefused {
		return false
	}
	if !a.isAsked || a.bytes < size || a.frames < r.Len() {
		if !a.isAsked {
			a.left = f.bytesLocked(s)
		} else {
			f.writeLocked(s)
		}
		a.left += a.bytes
		a.isAsked, a.bytes = true, max(size, min(a.left, maxRoundBytes))
		a.frames = max(r.Len(), maxRoundFrames)
		a.left -= a.bytes
		if a.isRefused = s.conn.IsCongested(a.bytes); a.isRefused {
			return false
		}
	}
	a.bytes -= size
	a.frames -= r.Len()
	return true
}

// bytesLocked is what the round has for a connection with several subscriptions in it.
func (f *flusher) bytesLocked(s *Subscriber) (n int) {
	for i := s.collected; i != 0; {
		p := &f.collected[i-1]
		if g := &f.groups[p.group]; p.sub.isCollectedLocked() && !g.isOver && p.sub.isDeliveredLocked() { // a filter may leave less
			n += f.runOf(g, p.sub.cohort.variant).Bytes()
		}
		i = p.next
	}
	return n
}
