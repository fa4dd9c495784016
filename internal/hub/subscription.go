package hub

import (
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/missed"
	"github.com/millrace/millrace/internal/protocol"
)

// state of a subscription, in the order of its life.
type state uint8

const (
	closed  state = iota
	held          // publications are kept
	gated         // delivered, except what after covers, which may still wait in the inbox
	live          // delivered
	lagging       // made by Follow: publications are only noted
)

// Subscription is one connection's place in a topic; embedded by value in its owner. Subscribe
// and Release are for one goroutine at a time; Close and Subscriber.Detach may come from
// any. After Close it may be subscribed again, by the same subscriber.
//
// While it is held it is a member of a cohort without filter, so that all that is published is kept
// for it. Release makes it one of the cohort of its filter.
type Subscription struct {
	subscriber *Subscriber // immutable from Subscribe to the next Subscribe

	// Note is the owner's, and the hub never looks at it.
	Note uint32

	// Guarded by the shard's mu.
	bits             uint32        // its state, whether it is collected, and its place in its cohort: see stateLocked
	cohort           *cohort       // nil when closed
	ownPrev, ownNext *Subscription // the subscriber's other subscriptions
	hold             *hold         // nil while there is nothing in it
	after            protocol.Position
	sent             frames.Tally // made by Follow: delivered since Sent
}

// What Subscription.bits has: a subscription must be small, and a cohort has fewer than 1<<28 members,
// who would take 19 GB.
const (
	stateMask    = 1<<3 - 1
	collectedBit = 1 << 3
	placeShift   = 4
)

func (sub *Subscription) stateLocked() state { return state(sub.bits & stateMask) }

func (sub *Subscription) setStateLocked(s state) { sub.bits = sub.bits&^stateMask | uint32(s) }

// isCollectedLocked reports whether sub has its place in what this round collected for its subscriber.
func (sub *Subscription) isCollectedLocked() bool { return sub.bits&collectedBit != 0 }

func (sub *Subscription) setCollectedLocked(is bool) {
	if sub.bits &^= collectedBit; is {
		sub.bits |= collectedBit
	}
}

// placeLocked is where sub is among the members of its cohort.
func (sub *Subscription) placeLocked() int32 { return int32(sub.bits >> placeShift) }

func (sub *Subscription) setPlaceLocked(place int32) {
	sub.bits = sub.bits&(1<<placeShift-1) | uint32(place)<<placeShift
}

// hold is what most subscriptions do without: what is published while one is held or lags.
type hold struct {
	missed *missed.Notes // made by Follow: what was noted instead of being kept
	kept   *kept         // nil: nothing is in it; of one that is held
}

// kept is what a held subscription keeps. Thousands of a connection may lag, and need none.
type kept struct {
	pubs       []*protocol.Publication
	isOverflow bool              // more was published than is kept; pubs is empty
	last       protocol.Position // of what was published, after an overflow
	filtered   *cohort           // where it goes when it is released; nil: it stays where it is
}

// keptLocked finds or makes what sub keeps.
func (sub *Subscription) keptLocked() *kept {
	if sub.hold == nil {
		sub.hold = new(hold)
	}
	if sub.hold.kept == nil {
		sub.hold.kept = new(kept)
	}
	return sub.hold.kept
}

// Subscribe adds sub to t, held: every publication that is received from now on is kept for
// it until Release. On a detached subscriber sub stays closed. The hub keeps t itself while the
// topic has subscribers: it must not change.
func (s *Subscriber) Subscribe(sub *Subscription, t *protocol.Topic) {
	_ = s.open(sub, t, s.variant, delivers, nil)
}

// open fails only because of f.
func (s *Subscriber) open(sub *Subscription, t *protocol.Topic, v protocol.Variant, m mode, f *protocol.Filter) error {
	sh := s.shard
	l := sh.hub.topics.acquire(t, sh.index)
	sh.mu.Lock()
	if sub.stateLocked() != closed {
		sh.mu.Unlock()
		panic("hub: subscription is open already")
	}
	if s.isDetached {
		sh.mu.Unlock()
		sh.hub.topics.release(l)
		return nil
	}
	sub.subscriber = s
	sub.setStateLocked(held)
	sh.linkLocked(sub, l, v, m)
	if f == nil {
		sh.mu.Unlock()
		return nil
	}
	err := sub.setFilterLocked(f)
	if err != nil {
		sh.unlinkLocked(sub)
	}
	sh.mu.Unlock()
	if err != nil {
		sh.hub.topics.release(l)
	}
	return err
}

// Hold makes sub, which was not made by Follow, held again, as if it were closed and
// subscribed again with the same filter: what still waits to be delivered is kept too, for
// Release to decide. On a closed subscription it does nothing.
func (sub *Subscription) Hold() {
	s := sub.subscriber
	if s == nil {
		return
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.stateLocked() == closed || sub.isFollowLocked() {
		return
	}
	filtered := sub.filteredLocked()
	if sub.stateLocked() != gated && sub.stateLocked() != held { // otherwise what after covers may still come
		sub.after = protocol.Position{}
	}
	sub.hold = nil
	sub.setStateLocked(held)
	if filtered != nil {
		sub.keptLocked().filtered = filtered
		sub.moveLocked(filtered.list.plainLocked(filtered.variant, filtered.mode))
	}
}

// Release delivers what was held and is not covered by after, and goes live: no gap, no
// duplicate. Nothing that after covers is ever delivered to sub; the zero Position stands for what
// the Release before the last Hold was given. After ErrHeldOverflow
// nothing was delivered and sub is still held: close it. After ErrLagging, which only a
// subscription made by Follow returns, nothing was delivered and sub lags. On a subscription
// that is not held, Release does nothing.
func (sub *Subscription) Release(after protocol.Position) error {
	s := sub.subscriber
	if s == nil {
		return nil
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.stateLocked() != held {
		return nil
	}
	if after == (protocol.Position{}) {
		after = sub.after
	}
	var kept *kept
	if sub.hold != nil {
		kept = sub.hold.kept
	}
	if kept != nil && kept.isOverflow {
		switch {
		case !sub.isFollowLocked():
			s.shard.hub.metrics.overflows.Inc()
			return ErrHeldOverflow
		case sub.hold.missed != nil && !after.Covers(kept.last):
			sub.lagLocked()
			return ErrLagging
		}
	}
	sub.forgetMissedLocked()
	sub.hold, sub.after = nil, after
	sub.setStateLocked(gated)
	if kept == nil {
		return nil
	}
	if kept.filtered != nil {
		sub.moveLocked(kept.filtered)
	}
	sub.deliverHeldLocked(kept.pubs)
	return nil
}

// deliverHeldLocked writes under the lock so that the flusher does not come between.
func (sub *Subscription) deliverHeldLocked(pubs []*protocol.Publication) {
	wanted, size, suppressed := pubs[:0], 0, 0
	for _, p := range pubs {
		switch {
		case !sub.wantsLocked(p):
		case !sub.passesLocked(p):
			suppressed++
		default:
			wanted = append(wanted, p)
			size += p.Size()
		}
	}
	if suppressed > 0 {
		sub.subscriber.shard.hub.metrics.suppressed.Add(float64(suppressed))
	}
	for len(wanted) > 0 {
		n := len(wanted)
		if sub.isFollowLocked() {
			n, size = frames.Front(wanted, maxRoundFrames, maxRoundBytes)
		}
		if !sub.writeHeldLocked(wanted[:n], size) {
			break
		}
		wanted = wanted[n:]
	}
	for _, p := range wanted {
		sub.missLocked(p)
	}
}

// writeHeldLocked writes pubs, of about size bytes. It reports false when sub was made by
// Follow and its connection is congested.
func (sub *Subscription) writeHeldLocked(pubs []*protocol.Publication, size int) bool {
	s := sub.subscriber
	h := s.shard.hub
	all := h.codecs.Encode(sub.cohort.variant, pubs, size)
	defer all.Buf.Release()
	if all.Frames == 0 {
		return true
	}
	isFollow := sub.isFollowLocked()
	if isFollow && s.conn.IsCongested(all.End) {
		return false
	}
	s.conn.WriteSegments([]bufpool.Segment{all})
	h.metrics.deliveries.Add(float64(all.Frames))
	h.metrics.writes.Inc()
	if isFollow {
		sub.sent = sub.sent.Add(all.Frames, all.End)
	}
	return true
}

// Close ends the subscription. When it returns no further frame of the topic is queued.
// Idempotent.
func (sub *Subscription) Close() {
	s := sub.subscriber
	if s == nil {
		return
	}
	sh := s.shard
	sh.mu.Lock()
	if sub.stateLocked() == closed {
		sh.mu.Unlock()
		return
	}
	l := sh.unlinkLocked(sub)
	sh.mu.Unlock()
	sh.hub.topics.release(l)
}

// wantsLocked reports whether p, if its filter lets it through, is to be delivered. Callers ask for
// publications in their order.
func (sub *Subscription) wantsLocked(p *protocol.Publication) bool {
	if sub.stateLocked() == gated {
		if sub.after.Covers(p.Position) {
			return false
		}
		// Beyond after in its own epoch, all that follows is. In another epoch after says
		// nothing, and its own may still come.
		if sub.after.Epoch == p.Position.Epoch || sub.after.Epoch == 0 {
			sub.setStateLocked(live)
		}
	}
	return !p.Excepts(sub.subscriber.id)
}

// isDeliveredLocked reports whether publications go to sub's connection.
func (sub *Subscription) isDeliveredLocked() bool {
	return sub.stateLocked() == live || sub.stateLocked() == gated
}

// isFollowLocked reports whether sub, which is open, was made by Follow or FollowWithoutKeys: what
// "made by Follow" means in all comments.
func (sub *Subscription) isFollowLocked() bool { return sub.cohort.mode != delivers }

// keepLocked adds publications to the hold.
func (sub *Subscription) keepLocked(p *protocol.Publication, limit int) {
	switch k := sub.keptLocked(); {
	case k.isOverflow && sub.isFollowLocked():
		k.last = p.Position
		sub.missLocked(p)
	case k.isOverflow:
	case len(k.pubs) < limit:
		k.pubs = append(k.pubs, p)
	default:
		pubs := k.pubs
		*k = kept{isOverflow: true, last: p.Position, filtered: k.filtered}
		if sub.isFollowLocked() {
			for _, p := range append(pubs, p) {
				sub.missLocked(p)
			}
		}
	}
}
