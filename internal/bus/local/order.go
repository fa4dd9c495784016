package local

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

const stripes = 64 // as many as there are bits in a mask

// Order is the bus of views: it puts the publications of a topic in an order, and keeps nothing.
// It never waits, starts no goroutine and never fails before Shutdown.
//
// Invariants: all that concerns one topic happens under the lock of its stripe, Receive
// included, so the order of Receive is the order of positions. The topics of a stripe share one
// offset: the positions of each grow, with gaps, and a topic costs nothing but its place among those
// that are subscribed.
type Order struct {
	receiver bus.Receiver // immutable
	epoch    uint64       // immutable, not zero
	seed     maphash.Seed // immutable
	isClosed atomic.Bool  // set once, then every stripe is passed
	stripes  [stripes]orderStripe
}

// orderStripe is a part of the topics.
type orderStripe struct {
	mu sync.Mutex

	// All guarded by mu.
	offset     uint64 // of the last publication
	subscribed keyed.Table[protocol.Topic, *subscribed]
	one        [1]*protocol.Publication

	_ [40]byte // two cache lines each
}

// subscribed is a topic that the node receives, where the subscriber has it.
type subscribed protocol.Topic

// Key is the topic.
func (t *subscribed) Key() protocol.Topic { return protocol.Topic(*t) }

// NewOrder makes a bus that delivers to r.
func NewOrder(r bus.Receiver) *Order {
	return &Order{receiver: r, epoch: newEpoch(), seed: maphash.MakeSeed()}
}

func newEpoch() uint64 { return 1 + rand.Uint64N(1<<64-1) }

// Publish assigns the next position of p.Topic to p.Position and delivers p, in one step. p must
// not be changed afterwards.
func (o *Order) Publish(_ context.Context, p *protocol.Publication) (protocol.Position, error) {
	s, err := o.lock(p.Topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	s.offset++
	p.Position = o.at(s.offset)
	if s.subscribed.Get(p.Topic) != nil {
		s.one[0] = p
		o.receiver.Receive(s.one[:]...)
		s.one[0] = nil
	}
	return p.Position, nil
}

// Subscribe makes this node receive t, which is kept until Unsubscribe and must not change, and
// returns the position after which it receives everything.
func (o *Order) Subscribe(_ context.Context, t *protocol.Topic) (protocol.Position, error) {
	s, err := o.lock(*t)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	if s.subscribed.Get(*t) == nil {
		s.subscribed.Add((*subscribed)(t))
	}
	return o.at(s.offset), nil
}

// Unsubscribe ends Subscribe.
func (o *Order) Unsubscribe(topic protocol.Topic) {
	s, err := o.lock(topic)
	if err != nil {
		return // nothing is received any more
	}
	defer s.mu.Unlock()
	s.subscribed.Remove(topic)
}

// Position covers all that was published to a topic, and nothing that is published later.
func (o *Order) Position(_ context.Context, topic protocol.Topic) (protocol.Position, error) {
	s, err := o.lock(topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	return o.at(s.offset), nil
}

// Shutdown ends the bus: when it returns nothing is under way, and every call since is
// bus.ErrClosed.
func (o *Order) Shutdown(context.Context) error {
	o.isClosed.Store(true)
	for i := range o.stripes {
		s := &o.stripes[i]
		s.mu.Lock()
		s.subscribed = keyed.Table[protocol.Topic, *subscribed]{}
		s.mu.Unlock()
	}
	return nil
}

// lock returns the topic's stripe with its lock held.
func (o *Order) lock(t protocol.Topic) (*orderStripe, error) {
	s := &o.stripes[maphash.Comparable(o.seed, t)%stripes]
	s.mu.Lock()
	if o.isClosed.Load() {
		s.mu.Unlock()
		return nil, bus.ErrClosed
	}
	return s, nil
}

func (o *Order) at(offset uint64) protocol.Position {
	return protocol.Position{Epoch: o.epoch, Offset: offset}
}
