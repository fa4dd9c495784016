package hub

import (
	"sync"

	"github.com/millrace/millrace/internal/protocol"
)

// chunk is how many subscriptions are written to under one hold of the shard's lock, so
// that nobody waits for a whole flush to subscribe or to leave.
const chunk = 64

// shard is a part of the connections and all their subscriptions. Whatever is written to a
// connection of the shard is written under mu.
type shard struct {
	hub     *Hub // immutable
	index   int  // immutable
	inbox   inbox
	flusher flusher

	mu      sync.Mutex
	ids     map[protocol.SocketID]*Subscriber // guarded by mu
	filters map[filterKey]*filter             // guarded by mu; nil while there are none

	// The walk of the flusher through one list; guarded by mu. Only subscriptions that were
	// there when it began are visited: new ones go in front of the head. Unlinking moves
	// the cursor, so none is skipped or visited twice.
	cursor *Subscription
	left   int // visits until the lock is given away

	asking sync.Mutex    // held by the one walk of Subscribers; taken before mu
	asked  *Subscription // where that is; guarded by mu, and moved as cursor is

	touring sync.Mutex    // held by the one walk of Topics; taken before mu
	toured  *Subscription // where that is; guarded by mu, and moved as cursor is
}

func newShard(h *Hub, index int) *shard {
	sh := &shard{hub: h, index: index, ids: make(map[protocol.SocketID]*Subscriber)}
	sh.inbox.signal = make(chan struct{}, 1)
	sh.flusher = flusher{shard: sh, entries: make([]entry, 1)}
	return sh
}

// walk locks mu and returns the first subscription of l. The caller goes on with step until
// it returns nil, then unlocks.
func (sh *shard) walk(l *list) *Subscription {
	sh.mu.Lock()
	sh.cursor, sh.left = l.head, chunk
	return sh.step()
}

// step returns the next subscription of the walk. It may give mu away first.
func (sh *shard) step() *Subscription {
	if sh.left == 0 {
		sh.mu.Unlock()
		sh.mu.Lock()
		sh.left = chunk
	}
	sh.left--
	sub := sh.cursor
	if sub != nil {
		sh.cursor = sub.next
	}
	return sub
}

func (sh *shard) linkLocked(sub *Subscription, l *list) {
	s := sub.subscriber
	sub.list = l
	sub.prev, sub.next = nil, l.head
	if l.head != nil {
		l.head.prev = sub
	}
	l.head = sub
	l.n++
	l.variants |= 1 << s.variant
	sub.ownPrev, sub.ownNext = nil, s.own
	if s.own != nil {
		s.own.ownPrev = sub
	}
	s.own = sub
}

// unlinkLocked ends sub and returns the list it was in, whose reference the caller must
// release once mu is unlocked.
func (sh *shard) unlinkLocked(sub *Subscription) *list {
	l, s := sub.list, sub.subscriber
	if sub.state == lagging {
		sh.hub.metrics.lagging.Dec()
	}
	sub.forgetMissedLocked()
	if sh.cursor == sub {
		sh.cursor = sub.next
	}
	if sh.asked == sub {
		sh.asked = sub.next
	}
	if sh.toured == sub {
		sh.toured = sub.ownNext
	}
	if sub.prev == nil {
		l.head = sub.next
	} else {
		sub.prev.next = sub.next
	}
	if sub.next != nil {
		sub.next.prev = sub.prev
	}
	l.n--
	if sub.ownPrev == nil {
		s.own = sub.ownNext
	} else {
		sub.ownPrev.ownNext = sub.ownNext
	}
	if sub.ownNext != nil {
		sub.ownNext.ownPrev = sub.ownPrev
	}
	if f := sub.filterLocked(); f != nil {
		s.filters -= uint32(filterSize(f.Filter))
		sh.dropFilterLocked(f)
	}
	sub.list, sub.next, sub.prev, sub.ownNext, sub.ownPrev = nil, nil, nil, nil, nil
	sub.hold, sub.after, sub.state = nil, protocol.Position{}, closed
	sub.isFollow, sub.notesKeys, sub.isCollected = false, false, false
	return l
}
