package channel

import (
	"hash/maphash"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

const stripes = 64

// channel is a topic that connections of this node are subscribed to: a channel, the channel of a
// user, or the topic that tells of a user. It is in the table while there are any.
type channel struct {
	topic protocol.Topic // immutable
	subs  uint32         // subscribed connections; guarded by the stripe
	kind  room.Kind      // of the topic; immutable
}

// Key is the key of the topic.
func (ch *channel) Key() protocol.TopicName { return ch.topic.Key() }

// userID is the user whose channel it is, or of whom it tells.
func (ch *channel) userID() string { return ch.topic.Name }

// table is the truth about what this node is subscribed to: a subscription is entered before the
// bus is asked, and what the bus is told of each change has a version, because it may be told of
// two changes in another order. Its locks are held only to look and to count.
type table struct {
	seed    maphash.Seed
	stripes [stripes]stripe
}

type stripe struct {
	mu       locks.Mutex
	channels [protocol.NumTopicKinds]keyed.Set[protocol.TopicName, *channel] // by kind; guarded by mu, as all below
	users    map[*channel]*user                                              // the connections of a signed-in user, newest first
	version  uint64                                                          // of the last change of any of them
}

func (t *table) init() { t.seed = maphash.MakeSeed() }

func (t *table) stripe(topic protocol.Topic) *stripe {
	return &t.stripes[maphash.String(t.seed, topic.Name)%stripes]
}

// enter counts a subscription to topic, with u for one to the channel of a user. isFirst is true
// of the first on this node.
func (t *table) enter(topic protocol.Topic, u *user) (ch *channel, p bus.Part, isFirst bool) {
	s := t.stripe(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	channels := &s.channels[topic.Kind]
	ch = channels.Get(topic.Key())
	if ch == nil {
		ch = &channel{topic: topic, kind: room.KindOfTopic(&topic)}
		channels.Add(ch)
	}
	if u != nil {
		s.linkLocked(u, ch)
	}
	ch.subs++
	s.version++
	return ch, bus.Part{Version: s.version, Subscriptions: ch.subs}, ch.subs == 1
}

// leave undoes enter. isLast is true of the last subscription on this node.
func (t *table) leave(ch *channel, u *user) (p bus.Part, isLast bool) {
	s := t.stripe(ch.topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u != nil {
		s.unlinkLocked(u)
	}
	if ch.subs--; ch.subs == 0 {
		s.channels[ch.topic.Kind].Remove(ch)
	}
	s.version++
	return bus.Part{Version: s.version, Subscriptions: ch.subs}, ch.subs == 0
}

// repliers are the connections that are signed in as the user whose channel topic is.
func (t *table) repliers(topic protocol.Topic) (list []Replier) {
	s := t.stripe(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channels[topic.Kind].Get(topic.Key()); ch != nil {
		for u := s.users[ch]; u != nil; u = u.next {
			list = append(list, u.conn.replier)
		}
	}
	return list
}

// SignedIn counts the connections of an app that are signed in on this node, and the distinct
// users they are signed in as. It looks at the users of every app.
func (e *Engine) SignedIn(appID string) (connections, users int) {
	for i := range e.table.stripes {
		s := &e.table.stripes[i]
		s.mu.Lock()
		for ch := range s.channels[protocol.TopicUser].All() {
			if ch.topic.App == appID {
				connections += int(ch.subs)
				users++
			}
		}
		s.mu.Unlock()
	}
	return connections, users
}
