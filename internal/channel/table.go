package channel

import (
	"hash/maphash"
	"sync"

	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

const stripes = 64

// channel is one occupied channel of this node.
//
// Invariants: while it is in the table and unlocked, subs or watchers is above zero, and the
// bus is subscribed to its topic exactly once while subs is. Once it is gone it is never joined
// again.
//
// A channel of user kind has the connections that are signed in as its user for subscribers:
// the user is online while there are any. The users who watch it are subscribed to another
// topic; see room.WatchTopic.
type channel struct {
	topic  protocol.Topic // immutable
	kind   room.Kind      // immutable
	isGone bool           // guarded by mu

	mu       sync.Mutex
	watchers uint32        // guarded by mu, as all below; subscriptions to the watch topic of a user kind
	subs     uint32        // subscribed connections
	members  *room.Members // nil unless the kind has members
	notice   *notice       // nil until a count is due
	users    *user         // of user kind: its connections, newest first
}

// Key is the topic of the channel.
func (ch *channel) Key() protocol.Topic { return ch.topic }

// table finds channels. Its locks are taken after a channel's, and only to look at the map.
type table struct {
	seed    maphash.Seed
	stripes [stripes]stripe
}

type stripe struct {
	mu       sync.Mutex
	channels keyed.Set[protocol.Topic, *channel] // guarded by mu
}

func (t *table) init() { t.seed = maphash.MakeSeed() }

func (t *table) stripe(topic protocol.Topic) *stripe {
	return &t.stripes[maphash.String(t.seed, topic.Name)%stripes]
}

// lock returns the channel of topic, locked and not gone. A new one has no subscribers; the
// caller adds one, or a watcher, or removes it before it unlocks.
func (t *table) lock(topic protocol.Topic) *channel {
	s := t.stripe(topic)
	for {
		s.mu.Lock()
		ch := s.channels.Get(topic)
		if ch == nil {
			ch = &channel{topic: topic, kind: room.KindOf(topic.Name)}
			if ch.kind.HasMembers() {
				ch.members = new(room.Members)
			}
			s.channels.Add(ch)
		}
		s.mu.Unlock()
		ch.mu.Lock()
		if !ch.isGone {
			return ch
		}
		ch.mu.Unlock() // removed meanwhile, so the table has it no more
	}
}

// find returns the channel of topic, unlocked, nil when there is none.
func (t *table) find(topic protocol.Topic) *channel {
	s := t.stripe(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels.Get(topic)
}

// removeLocked takes ch, whose lock is held, out of the table for good.
func (t *table) removeLocked(ch *channel) {
	s := t.stripe(ch.topic)
	s.mu.Lock()
	s.channels.Remove(ch)
	s.mu.Unlock()
	ch.isGone = true
}

// all returns the channels that match, unlocked, in no particular order.
func (t *table) all(match func(protocol.Topic) bool) []*channel {
	var found []*channel
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		for ch := range s.channels.All() {
			if match(ch.topic) {
				found = append(found, ch)
			}
		}
		s.mu.Unlock()
	}
	return found
}
