package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

const stripes = 64 // a power of two

// list is the subscriptions of one topic in one shard, in cohorts. It exists while there are
// any. A later list of the same topic is another one: the flusher delivers nothing of what still
// waits for an ended list.
type list struct {
	topic *protocol.Topic // immutable; the first subscription brought it
	next  *list           // of the same topic, in another shard; guarded by the stripe
	refs  int32           // open or opening subscriptions; guarded by the stripe
	group int32           // index+1 of what waits for this list; owned by the shard's flusher
	own   cohort          // the first of its cohorts; without filter

	// passed is the Change.Number of the last publication that each subscription, if it was open
	// then, was given or keeps or notes as missed. The shard's flusher sets it.
	passed atomic.Uint64
}

func newList(topic *protocol.Topic, shard int) *list {
	l := &list{topic: topic, refs: 1}
	l.own = cohort{list: l, todo: noRound, shard: uint8(shard)}
	return l
}

// Key is the key of the topic.
func (l *list) Key() protocol.TopicName { return l.topic.Key() }

// table finds the lists of a topic. A topic's lists, one per shard with subscribers, hang in
// one chain, of which the first is in the stripe: no object per topic, and one look-up for all
// shards.
type table struct {
	seed    maphash.Seed // immutable
	stripes [stripes]stripe
}

type stripe struct {
	mu    sync.RWMutex
	lists [protocol.NumTopicKinds]keyed.Table[protocol.TopicName, *list] // by kind, the first of each topic; guarded by mu
}

// first is the list of a topic with which its chain begins; nil without any. A lock is held.
func (s *stripe) first(topic *protocol.Topic) *list { return s.lists[topic.Kind].Get(topic.Key()) }

func (t *table) stripe(topic *protocol.Topic) *stripe {
	return &t.stripes[maphash.String(t.seed, topic.Name)%stripes]
}

// acquire finds or makes the list of topic in a shard and adds one reference. From here on
// Receive puts publications into the inbox of that shard.
func (t *table) acquire(topic *protocol.Topic, shard int) *list {
	s := t.stripe(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.first(topic)
	for l := first; l != nil; l = l.next {
		if int(l.own.shard) == shard {
			l.refs++
			return l
		}
	}
	l := newList(topic, shard)
	if first == nil {
		s.lists[topic.Kind].Add(l)
	} else {
		first.next, l.next = l, first.next
	}
	return l
}

// release drops one reference of acquire, and the list with the last one.
func (t *table) release(l *list) {
	s := t.stripe(l.topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.refs--; l.refs > 0 {
		return
	}
	before := s.first(l.topic)
	if before == l {
		lists := &s.lists[l.topic.Kind]
		lists.Remove(l.Key())
		if l.next != nil {
			lists.Add(l.next)
		}
		return
	}
	for before.next != l {
		before = before.next
	}
	before.next = l.next
}
