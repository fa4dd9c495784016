package local

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

const stripes = 64 // as many as there are bits in a mask

// Order is the bus of views: it puts the publications of a topic in an order, and keeps nothing.
// It never waits and starts no goroutine.
//
// Invariants: all that concerns one topic happens under the lock of its stripe, Receive
// included, so the order of Receive is the order of positions. The topics of a stripe share one
// offset: the positions of each grow, with gaps, and a topic costs nothing but its place among the
// topics that are subscribed.
type Order struct {
	receiver bus.Receiver // immutable
	epoch    uint64       // immutable, not zero
	seed     maphash.Seed // immutable
	stripes  [stripes]orderStripe
}

// orderStripe is a part of the topics.
type orderStripe struct {
	mu sync.Mutex

	// All guarded by mu.
	offset     uint64 // of the last publication
	subscribed [protocol.NumTopicKinds]keyed.Table[protocol.TopicName, *subscribed]
	one        [1]*protocol.Publication
}

// subscribed is a topic that the node receives, where the subscriber has it.
type subscribed protocol.Topic

// Key is the key of the topic.
func (t *subscribed) Key() protocol.TopicName { return (*protocol.Topic)(t).Key() }

// NewOrder makes a bus that delivers to r.
func NewOrder(r bus.Receiver) *Order {
	return &Order{receiver: r, epoch: newEpoch(), seed: maphash.MakeSeed()}
}

func newEpoch() uint64 { return 1 + rand.Uint64N(1<<64-1) }

// Publish assigns the next position of p.Topic to p.Position and delivers p, in one step. p must
// not be changed afterwards.
func (o *Order) Publish(p *protocol.Publication) {
	s := o.stripe(&p.Topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset++
	p.Position = o.at(s.offset)
	if s.subscribed[p.Topic.Kind].Get(p.Topic.Key()) != nil {
		s.one[0] = p
		o.receiver.Receive(s.one[:]...)
		s.one[0] = nil
	}
}

// Subscribe makes this node receive t, which is kept until Unsubscribe and must not change.
func (o *Order) Subscribe(t *protocol.Topic) {
	s := o.stripe(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscribed[t.Kind].Get(t.Key()) == nil {
		s.subscribed[t.Kind].Add((*subscribed)(t))
	}
}

// Unsubscribe ends Subscribe.
func (o *Order) Unsubscribe(topic protocol.Topic) {
	s := o.stripe(&topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribed[topic.Kind].Remove(topic.Key())
}

// Position covers all that was published to a topic, and nothing that is published later.
func (o *Order) Position(topic protocol.Topic) protocol.Position {
	s := o.stripe(&topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.at(s.offset)
}

func (o *Order) stripe(t *protocol.Topic) *orderStripe {
	return &o.stripes[maphash.Comparable(o.seed, t.Key())%stripes]
}

func (o *Order) at(offset uint64) protocol.Position {
	return protocol.Position{Epoch: o.epoch, Offset: offset}
}
