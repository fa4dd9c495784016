package bus

import (
	"context"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	localStripes  = 64 // a power of two
	sweepInterval = time.Minute
)

var _ Bus = (*Local)(nil)

// Local is the bus of a cluster of one: it lives in this process, never waits, starts no
// goroutine and never fails before Shutdown.
//
// Invariants: all that concerns one topic happens under the lock of its stripe, Receive
// included, so the order of Receive is the order of positions. The topics of a stripe share one
// offset: those of each grow, with gaps, and a topic costs nothing but its place among those
// that are subscribed.
type Local struct {
	receiver Receiver         // immutable
	now      func() time.Time // immutable
	start    time.Time        // immutable
	epoch    uint64           // immutable, not zero
	seed     maphash.Seed     // immutable
	isClosed atomic.Bool      // set once, then every stripe is passed
	stripes  [localStripes]localStripe
}

// localStripe is a part of the topics.
type localStripe struct {
	mu sync.Mutex

	// All guarded by mu.
	offset     uint64 // of the last publication
	subscribed keyed.Table[protocol.Topic, *subscribed]
	retained   map[protocol.Topic]localRetained // expired ones too
	swept      time.Duration                    // when expired values were last looked for

	_ [32]byte // two cache lines each
}

// subscribed is a topic that the node receives, where its owner has it.
type subscribed protocol.Topic

// Key is the topic.
func (t *subscribed) Key() protocol.Topic { return protocol.Topic(*t) }

type localRetained struct {
	publication *protocol.Publication
	expires     time.Duration // since Local.start, so that a set clock does no harm
}

// NewLocal makes a bus that delivers to r. now is the clock by which retained values expire;
// nil means time.Now.
func NewLocal(r Receiver, now func() time.Time) *Local {
	if now == nil {
		now = time.Now
	}
	return &Local{receiver: r, now: now, start: now(), epoch: 1 + rand.Uint64N(1<<64-1), seed: maphash.MakeSeed()}
}

// Publish implements Bus. Of a topic that is not subscribed and not retained it only counts.
func (b *Local) Publish(_ context.Context, p *protocol.Publication, r Retention) (protocol.Position, error) {
	s, err := b.lock(p.Topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	s.offset++
	p.Position = b.at(s.offset)
	if r.TTL > 0 || len(s.retained) > 0 {
		now := b.elapsed()
		s.sweepLocked(now)
		if r.TTL > 0 {
			s.retainLocked(p, now+r.TTL)
		}
	}
	if s.subscribed.Get(p.Topic) != nil {
		b.receiver.Receive(p)
	}
	return p.Position, nil
}

// Subscribe implements Bus.
func (b *Local) Subscribe(_ context.Context, t *protocol.Topic) (protocol.Position, error) {
	s, err := b.lock(*t)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	if s.subscribed.Get(*t) == nil {
		s.subscribed.Add((*subscribed)(t))
	}
	return b.at(s.offset), nil
}

// Unsubscribe implements Bus.
func (b *Local) Unsubscribe(topic protocol.Topic) {
	s, err := b.lock(topic)
	if err != nil {
		return // nothing is received any more
	}
	defer s.mu.Unlock()
	s.subscribed.Remove(topic)
}

// Position implements Bus.
func (b *Local) Position(_ context.Context, topic protocol.Topic) (protocol.Position, error) {
	s, err := b.lock(topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	return b.at(s.offset), nil
}

// Retained implements Bus.
func (b *Local) Retained(_ context.Context, topic protocol.Topic) (*Retained, protocol.Position, error) {
	s, err := b.lock(topic)
	if err != nil {
		return nil, protocol.Position{}, err
	}
	defer s.mu.Unlock()
	at := b.at(s.offset)
	r, ok := s.retained[topic]
	if !ok {
		return nil, at, nil
	}
	remaining := r.expires - b.elapsed()
	if remaining <= 0 {
		delete(s.retained, topic)
		return nil, at, nil
	}
	return &Retained{Publication: r.publication, Remaining: remaining}, at, nil
}

// Shutdown ends the bus: when it returns nothing is under way, and every call since is
// ErrClosed.
func (b *Local) Shutdown(context.Context) error {
	b.isClosed.Store(true)
	for i := range b.stripes {
		s := &b.stripes[i]
		s.mu.Lock()
		s.subscribed, s.retained = keyed.Table[protocol.Topic, *subscribed]{}, nil
		s.mu.Unlock()
	}
	return nil
}

// lock returns the topic's stripe with its lock held.
func (b *Local) lock(t protocol.Topic) (*localStripe, error) {
	s := &b.stripes[maphash.Comparable(b.seed, t)%localStripes]
	s.mu.Lock()
	if b.isClosed.Load() {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	return s, nil
}

func (b *Local) at(offset uint64) protocol.Position {
	return protocol.Position{Epoch: b.epoch, Offset: offset}
}

func (b *Local) elapsed() time.Duration { return b.now().Sub(b.start) }

func (s *localStripe) retainLocked(p *protocol.Publication, expires time.Duration) {
	if s.retained == nil {
		s.retained = make(map[protocol.Topic]localRetained)
	}
	s.retained[p.Topic] = localRetained{p, expires}
}

// sweepLocked forgets expired values that nobody reads, from time to time. Those who publish
// pay for it: without them nothing grows.
func (s *localStripe) sweepLocked(now time.Duration) {
	if now-s.swept < sweepInterval {
		return
	}
	s.swept = now
	maps.DeleteFunc(s.retained, func(_ protocol.Topic, r localRetained) bool { return r.expires <= now })
}
