package hub

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"github.com/millrace/millrace/internal/protocol"
)

const stripes = 64 // a power of two

// list is the subscriptions of one topic in one shard. It exists while there are any. A
// later list of the same topic is another one, so what still waits for an ended list
// reaches nobody.
type list struct {
	topic protocol.Topic // immutable
	next  *list          // of equal hash; guarded by the stripe
	head  *Subscription  // guarded by the shard's mu
	refs  int32          // open or opening subscriptions; guarded by the stripe
	n     int32          // linked subscriptions; guarded by the shard's mu
	group int32          // index+1 of what waits for this list; owned by the shard's flusher
	shard uint16         // immutable

	// variants has a bit for each variant that has ever been linked; guarded by the shard's
	// mu. It only tells what to encode before taking the lock.
	variants uint8
}

// table finds the lists of a topic. A topic's lists, one per shard with subscribers, hang in
// one chain under the topic's hash: no object per topic, and one look-up for all shards.
type table struct {
	seed    maphash.Seed // immutable
	stripes [stripes]stripe
}

type stripe struct {
	mu    sync.RWMutex
	lists map[uint64]*list // guarded by mu; by hash of topic

	_ [32]byte // one cache line each
}

func (t *table) hash(topic protocol.Topic) uint64 {
	return maphash.String(t.seed, topic.Name) ^ bits.RotateLeft64(maphash.String(t.seed, topic.App), 29)
}

func (t *table) stripe(hash uint64) *stripe { return &t.stripes[hash%stripes] }

// acquire finds or makes the list of topic in a shard and adds one reference. From here on
// Receive puts publications into the inbox of that shard.
func (t *table) acquire(topic protocol.Topic, shard int) *list {
	hash := t.hash(topic)
	s := t.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := s.lists[hash]; l != nil; l = l.next {
		if int(l.shard) == shard && l.topic == topic {
			l.refs++
			return l
		}
	}
	if s.lists == nil {
		s.lists = make(map[uint64]*list)
	}
	l := &list{topic: topic, shard: uint16(shard), refs: 1, next: s.lists[hash]}
	s.lists[hash] = l
	return l
}

// release drops one reference of acquire, and the list with the last one.
func (t *table) release(l *list) {
	hash := t.hash(l.topic)
	s := t.stripe(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.refs--; l.refs > 0 {
		return
	}
	if s.lists[hash] == l {
		if l.next == nil {
			delete(s.lists, hash)
		} else {
			s.lists[hash] = l.next
		}
		return
	}
	for before := s.lists[hash]; before != nil; before = before.next {
		if before.next == l {
			before.next = l.next
			return
		}
	}
}
