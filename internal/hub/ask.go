package hub

import (
	"math"
	"slices"

	"github.com/millrace/millrace/internal/protocol"
)

// maxTopics is how many topics of one subscriber are looked at under one hold of its shard's
// lock.
const maxTopics = 4096

// Topics returns the topics that s is subscribed to, newest first. A subscriber with more than
// maxTopics is looked at in several holds of the lock: what it leaves or joins between them may be
// there or not, and all else is.
func (s *Subscriber) Topics() (topics []protocol.Topic) {
	sh := s.shard
	if sh == nil {
		return nil
	}
	sh.touring.Lock()
	defer sh.touring.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.toured = s.own
	for left := maxTopics; sh.toured != nil; left-- {
		if left == 0 {
			sh.mu.Unlock()
			sh.mu.Lock()
			left = maxTopics
			continue // the cursor may have moved
		}
		topics = append(topics, *sh.toured.cohort.list.topic)
		sh.toured = sh.toured.ownNext
	}
	return topics
}

// Conn is the connection that is attached under an id; nil when there is none.
func (h *Hub) Conn(id protocol.SocketID) Conn {
	if id.IsZero() {
		return nil
	}
	sh := h.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.ids[id]; s != nil {
		return s.conn
	}
	return nil
}

// Subscribers calls fn with the connections that are subscribed to t, in no particular order,
// until fn returns false. One that comes or goes during the walk may be missed. fn is called without
// any lock.
func (h *Hub) Subscribers(t protocol.Topic, fn func(protocol.SocketID, Conn) bool) {
	for _, l := range h.topics.listsOf(t) {
		if !h.shards[l.own.shard].ask(l, fn) {
			return
		}
	}
}

// Passed is up to which Change.Number the publications of t are no longer on their way to any
// subscription: it was given them, or keeps them, or notes that it misses them. The greatest
// number there is while t has no subscriptions.
func (h *Hub) Passed(t protocol.Topic) uint64 {
	s := h.topics.stripe(&t)
	s.mu.RLock()
	defer s.mu.RUnlock()
	passed := uint64(math.MaxUint64)
	for l := s.first(&t); l != nil; l = l.next {
		passed = min(passed, l.passed.Load())
	}
	return passed
}

// attached is a connection under its id.
type attached struct {
	id   protocol.SocketID
	conn Conn
}

// ask calls fn with the connections of l, some at a time.
func (sh *shard) ask(l *list, fn func(protocol.SocketID, Conn) bool) bool {
	subs := sh.subscriptionsOf(l)
	some := make([]attached, 0, chunk)
	for part := range slices.Chunk(subs, chunk) {
		some = some[:0]
		sh.mu.Lock()
		for _, sub := range part {
			if c := sub.cohort; c != nil && c.list == l { // it is still there
				some = append(some, attached{sub.subscriber.id, sub.subscriber.conn})
			}
		}
		sh.mu.Unlock()
		for _, a := range some {
			if !fn(a.id, a.conn) {
				return false
			}
		}
	}
	return true
}

// subscriptionsOf returns the subscriptions of l: they change places, so a walk with pauses might
// meet one twice.
func (sh *shard) subscriptionsOf(l *list) (subs []*Subscription) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for c := &l.own; c != nil; c = c.next() {
		if c.first != nil {
			subs = append(subs, c.first)
		}
		if c.rest != nil {
			subs = append(subs, c.rest.subs...)
		}
	}
	return subs
}

// listsOf returns the lists of a topic, one for each shard with subscribers of it.
func (t *table) listsOf(topic protocol.Topic) (all []*list) {
	s := t.stripe(&topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for l := s.first(&topic); l != nil; l = l.next {
		all = append(all, l)
	}
	return all
}
