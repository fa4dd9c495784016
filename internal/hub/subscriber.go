package hub

import (
	"hash/maphash"

	"github.com/millrace/millrace/internal/protocol"
)

// Subscriber is a connection as the hub sees it; embedded by value in its owner. It is
// attached once, under one id; its other methods are safe from any goroutine after that.
type Subscriber struct {
	conn    Conn              // immutable after Attach
	shard   *shard            // immutable after Attach
	id      protocol.SocketID // immutable after Attach
	variant protocol.Variant  // immutable after Attach; of subscriptions that name no other

	// Guarded by the shard's mu.
	isDetached bool
	isExcepted bool          // named by a publication of this round: look closer
	lag        uint32        // bytes noted of what its subscriptions miss
	own        *Subscription // its open subscriptions, newest first
	collected  int32         // index+1 of the first of what this round collected for it
	filters    uint32        // bytes of the filters of its subscriptions, also of those it shares
}

func (h *Hub) shardOf(id protocol.SocketID) *shard {
	return h.shards[maphash.Comparable(h.seed, id)%uint64(len(h.shards))]
}

// Attach registers conn under its id; v is the variant of subscriptions that name no other. It
// reports false, and has done nothing, when the id is in use or zero: draw another.
func (h *Hub) Attach(s *Subscriber, conn Conn, id protocol.SocketID, v protocol.Variant) bool {
	if id.IsZero() {
		return false
	}
	sh := h.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.ids[id] != nil {
		return false
	}
	*s = Subscriber{conn: conn, shard: sh, id: id, variant: v}
	sh.ids[id] = s
	h.connections.Add(1)
	return true
}

// Detach ends every remaining subscription, as Close does, and forgets the connection.
// Idempotent; without Attach it does nothing.
func (s *Subscriber) Detach() {
	sh := s.shard
	if sh == nil {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	isFirst := !s.isDetached
	s.isDetached = true
	for s.own != nil {
		l := sh.unlinkLocked(s.own)
		sh.mu.Unlock()
		sh.hub.topics.release(l)
		sh.mu.Lock()
	}
	if isFirst { // last, so that what excepts s finds it while it still has a subscription
		delete(sh.ids, s.id)
		sh.hub.connections.Add(-1)
	}
}

// IsLagging reports whether a subscription made by Follow lags: then its connection has not been
// given all that was received.
func (s *Subscriber) IsLagging() bool {
	if s.shard == nil {
		return false
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	for sub := s.own; sub != nil; sub = sub.ownNext {
		if sub.stateLocked() == lagging {
			return true
		}
	}
	return false
}

// ID is the id given to Attach.
func (s *Subscriber) ID() protocol.SocketID { return s.id }
