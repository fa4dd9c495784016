package hub

import (
	"sync"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/inbox"
	"github.com/millrace/millrace/internal/protocol"
)

// shard is a part of the connections and all their subscriptions. Whatever is written to a
// connection of the shard is written under mu.
type shard struct {
	hub     *Hub // immutable
	index   int  // immutable
	inbox   inbox.Inbox[*list]
	flusher flusher

	mu  sync.Mutex
	ids map[protocol.SocketID]*Subscriber // guarded by mu

	touring sync.Mutex    // held by the one walk of Topics; taken before mu
	toured  *Subscription // where that is; guarded by mu; what is taken out moves it on
}

func newShard(h *Hub, index int) *shard {
	sh := &shard{hub: h, index: index, ids: make(map[protocol.SocketID]*Subscriber)}
	sh.inbox.Init()
	sh.flusher = flusher{shard: sh, encoder: frames.NewEncoder(h.codecs), chains: inbox.NewChains(), chunk: chunk, looks: looks}
	return sh
}

// linkLocked makes sub, which is held, one of l.
func (sh *shard) linkLocked(sub *Subscription, l *list, v protocol.Variant, m mode) {
	s := sub.subscriber
	l.putLocked(l.plainLocked(v, m), sub, true)
	sub.ownPrev, sub.ownNext = nil, s.own
	if s.own != nil {
		s.own.ownPrev = sub
	}
	s.own = sub
}

// unlinkLocked ends sub and returns the list it was in, whose reference the caller must
// release once mu is unlocked.
func (sh *shard) unlinkLocked(sub *Subscription) *list {
	l, s := sub.cohort.list, sub.subscriber
	if sub.stateLocked() == lagging {
		sh.hub.metrics.lagging.Dec()
	}
	sub.forgetMissedLocked()
	if sh.toured == sub {
		sh.toured = sub.ownNext
	}
	if sub.ownPrev == nil {
		s.own = sub.ownNext
	} else {
		sub.ownPrev.ownNext = sub.ownNext
	}
	if sub.ownNext != nil {
		sub.ownNext.ownPrev = sub.ownPrev
	}
	filtered := sub.filteredLocked()
	sub.takeLocked()
	if filtered != nil {
		s.filters -= uint32(filterSize(filtered.filter().Filter))
		sh.dropFilterLocked(filtered)
	}
	sub.ownNext, sub.ownPrev = nil, nil
	sub.hold, sub.after = nil, protocol.Position{}
	sub.setStateLocked(closed)
	sub.setCollectedLocked(false)
	return l
}
