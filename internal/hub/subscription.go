package hub

import (
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

const scratchSize = 512 // of one payload; it grows when needed

// state of a subscription, in the order of its life.
type state uint8

const (
	closed state = iota
	held         // publications are kept
	gated        // delivered, except what after covers, which may still wait in the inbox
	live
)

// Subscription is one connection's place in a topic; embedded by value in its owner. Subscribe
// and Release are for one goroutine at a time; Close and Subscriber.Detach may come from
// any. After Close it may be subscribed again, by the same subscriber.
type Subscription struct {
	subscriber *Subscriber // immutable from Subscribe to the next Subscribe

	// Guarded by the shard's mu.
	list             *list // nil when closed
	prev, next       *Subscription
	ownPrev, ownNext *Subscription // the subscriber's other subscriptions
	hold             *hold         // while held, nil until something is published
	after            protocol.Position
	state            state
	isCollected      bool // it has its place in what this round collected for its subscriber
}

// hold keeps what is published while a subscription is held.
type hold struct {
	pubs       []*protocol.Publication
	isOverflow bool // more was published than is kept; pubs is empty
}

// Subscribe adds sub to t, held: every publication that is received from now on is kept for
// it until Release. On a detached subscriber sub stays closed.
func (s *Subscriber) Subscribe(sub *Subscription, t protocol.Topic) {
	sh := s.shard
	l := sh.hub.topics.acquire(t, sh.index)
	sh.mu.Lock()
	if sub.state != closed {
		sh.mu.Unlock()
		panic("hub: subscription is open already")
	}
	if s.isDetached {
		sh.mu.Unlock()
		sh.hub.topics.release(l)
		return
	}
	sub.subscriber, sub.state = s, held
	sh.linkLocked(sub, l)
	sh.mu.Unlock()
}

// Release delivers what was held and is not covered by after, and goes live: no gap, no
// duplicate. Nothing that after covers is ever delivered to sub. After ErrHeldOverflow
// nothing was delivered and sub is still held: close it. On a subscription that is not
// held, Release does nothing.
func (sub *Subscription) Release(after protocol.Position) error {
	s := sub.subscriber
	if s == nil {
		return nil
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.state != held {
		return nil
	}
	if sub.hold != nil && sub.hold.isOverflow {
		s.shard.hub.metrics.overflows.Inc()
		return ErrHeldOverflow
	}
	kept := sub.hold
	sub.hold, sub.after, sub.state = nil, after, gated
	if kept != nil {
		sub.deliverHeldLocked(kept.pubs)
	}
	return nil
}

// deliverHeldLocked writes under the lock so that the flusher does not come between.
func (sub *Subscription) deliverHeldLocked(pubs []*protocol.Publication) {
	s := sub.subscriber
	wanted, size := pubs[:0], 0
	for _, p := range pubs {
		if sub.wantsLocked(p) {
			wanted = append(wanted, p)
			size += p.Size()
		}
	}
	if len(wanted) == 0 {
		return
	}
	h := s.shard.hub
	buf, scratch := bufpool.Get(size), bufpool.Get(scratchSize)
	for _, p := range wanted {
		buf.B, scratch.B = appendFrame(buf.B, scratch.B, h.codecs[s.variant], p)
	}
	s.conn.WriteSegments([]bufpool.Segment{{Buf: buf, End: len(buf.B), Frames: len(wanted)}})
	scratch.Release()
	buf.Release()
	h.metrics.deliveries.Add(float64(len(wanted)))
	h.metrics.writes.Inc()
}

// appendFrame appends p as one frame. The payload goes through scratch, because its length
// stands in the header before it.
func appendFrame(dst, scratch []byte, c protocol.Codec, p *protocol.Publication) (frame, newScratch []byte) {
	scratch = c.AppendPublication(scratch[:0], p)
	return websocket.AppendFrame(dst, websocket.OpText, scratch), scratch
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
	if sub.state == closed {
		sh.mu.Unlock()
		return
	}
	l := sh.unlinkLocked(sub)
	sh.mu.Unlock()
	sh.hub.topics.release(l)
}

// wantsLocked reports whether p is to be delivered. Publications are asked for in order.
func (sub *Subscription) wantsLocked(p *protocol.Publication) bool {
	if sub.state == gated {
		if sub.after.Covers(p.Position) {
			return false
		}
		// Beyond after in its own epoch, all that follows is. In another epoch after says
		// nothing, and its own may still come.
		if sub.after.Epoch == p.Position.Epoch || sub.after.Epoch == 0 {
			sub.state = live
		}
	}
	return p.Except != sub.subscriber.id
}

// keepLocked adds publications to the hold.
func (sub *Subscription) keepLocked(p *protocol.Publication, limit int) {
	if sub.hold == nil {
		sub.hold = new(hold)
	}
	switch h := sub.hold; {
	case h.isOverflow:
	case len(h.pubs) == limit:
		*h = hold{isOverflow: true}
	default:
		h.pubs = append(h.pubs, p)
	}
}

// Lag is what a subscription made by Follow missed.
type Lag struct {
	From, To   uint64              // Change.Number of the first publication that was not delivered, and of the last one seen
	Keys       map[string]struct{} // of everything missed; nil after overflow
	IsOverflow bool                // more keys were missed than are remembered
}

// Follow is Subscribe for a topic of changes (protocol.KindChange) whose state can be read
// again: when the connection is congested, or the hold overflows, the subscription stops
// being delivered to, lags, and only notes what it misses, in bounded memory. The owner then
// reads Lag, closes it, sends the present state and follows anew.
func (s *Subscriber) Follow(sub *Subscription, t protocol.Topic) { panic("sketch") }

// Lag reports what sub misses, and whether it lags at all. The caller must not keep Keys
// beyond Close.
func (sub *Subscription) Lag() (Lag, bool) { panic("sketch") }

// Sent returns the frames and bytes delivered since the last call.
func (sub *Subscription) Sent() (frames, bytes int) { panic("sketch") }
