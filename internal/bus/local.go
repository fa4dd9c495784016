package bus

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

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
// included, so the order of Receive is the order of positions; offsets of a topic never go
// back, even if its state was dropped between.
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
	topics   map[protocol.Topic]*localTopic
	retained int // topics with a retained value, expired or not
	// offset is the greatest of every topic that has no state. A topic's state begins with
	// it, so a topic need not be remembered to keep its offsets growing.
	offset uint64
	swept  time.Duration // when expired values were last looked for

	_ [24]byte // one cache line each
}

// localTopic is the state of a topic. It exists while the node is subscribed or a value is
// retained.
type localTopic struct {
	offset       uint64
	retained     *localRetained // mostly nil
	isSubscribed bool
}

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

// Publish implements Bus. Where nobody is subscribed and nothing is retained it only counts.
func (b *Local) Publish(_ context.Context, p *protocol.Publication, r Retention) (protocol.Position, error) {
	s, err := b.lock(p.Topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	if r.TTL > 0 || s.retained > 0 {
		now := b.elapsed()
		s.sweepLocked(now)
		if r.TTL > 0 {
			t := s.stateLocked(p.Topic)
			if t.retained == nil {
				t.retained = new(localRetained)
				s.retained++
			}
			*t.retained = localRetained{p, now + r.TTL}
		}
	}
	t := s.topics[p.Topic]
	if t == nil {
		s.offset++
		p.Position = b.at(s.offset)
		return p.Position, nil
	}
	t.offset++
	p.Position = b.at(t.offset)
	if t.isSubscribed {
		b.receiver.Receive(p)
	}
	return p.Position, nil
}

// Subscribe implements Bus.
func (b *Local) Subscribe(_ context.Context, topic protocol.Topic) (protocol.Position, error) {
	s, err := b.lock(topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	t := s.stateLocked(topic)
	t.isSubscribed = true
	return b.at(t.offset), nil
}

// Unsubscribe implements Bus.
func (b *Local) Unsubscribe(topic protocol.Topic) {
	s, err := b.lock(topic)
	if err != nil {
		return // nothing is received any more
	}
	defer s.mu.Unlock()
	if t := s.topics[topic]; t != nil {
		t.isSubscribed = false
		s.dropLocked(topic, t)
	}
}

// Position implements Bus.
func (b *Local) Position(_ context.Context, topic protocol.Topic) (protocol.Position, error) {
	s, err := b.lock(topic)
	if err != nil {
		return protocol.Position{}, err
	}
	defer s.mu.Unlock()
	return b.at(s.offsetLocked(topic)), nil
}

// Retained implements Bus.
func (b *Local) Retained(_ context.Context, topic protocol.Topic) (*Retained, protocol.Position, error) {
	s, err := b.lock(topic)
	if err != nil {
		return nil, protocol.Position{}, err
	}
	defer s.mu.Unlock()
	at := b.at(s.offsetLocked(topic))
	t := s.topics[topic]
	if t == nil || t.retained == nil {
		return nil, at, nil
	}
	remaining := t.retained.expires - b.elapsed()
	if remaining <= 0 {
		s.expireLocked(topic, t)
		return nil, at, nil
	}
	return &Retained{Publication: t.retained.publication, Remaining: remaining}, at, nil
}

// Shutdown ends the bus: when it returns nothing is under way, and every call since is
// ErrClosed.
func (b *Local) Shutdown(context.Context) error {
	b.isClosed.Store(true)
	for i := range b.stripes {
		b.stripes[i].mu.Lock()
		b.stripes[i].topics = nil
		b.stripes[i].mu.Unlock()
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

func (s *localStripe) offsetLocked(topic protocol.Topic) uint64 {
	if t := s.topics[topic]; t != nil {
		return t.offset
	}
	return s.offset
}

// stateLocked finds or makes the state of a topic.
func (s *localStripe) stateLocked(topic protocol.Topic) *localTopic {
	t := s.topics[topic]
	if t == nil {
		if s.topics == nil {
			s.topics = make(map[protocol.Topic]*localTopic)
		}
		t = &localTopic{offset: s.offset}
		s.topics[topic] = t
	}
	return t
}

// dropLocked forgets a state that nothing needs.
func (s *localStripe) dropLocked(topic protocol.Topic, t *localTopic) {
	if !t.isSubscribed && t.retained == nil {
		s.offset = max(s.offset, t.offset)
		delete(s.topics, topic)
	}
}

func (s *localStripe) expireLocked(topic protocol.Topic, t *localTopic) {
	t.retained = nil
	s.retained--
	s.dropLocked(topic, t)
}

// sweepLocked forgets expired values that nobody reads, from time to time. Those who publish
// pay for it: without them nothing grows.
func (s *localStripe) sweepLocked(now time.Duration) {
	if now-s.swept < sweepInterval {
		return
	}
	s.swept = now
	for topic, t := range s.topics {
		if t.retained != nil && t.retained.expires <= now {
			s.expireLocked(topic, t)
		}
	}
}
