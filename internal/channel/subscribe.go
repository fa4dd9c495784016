package channel

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// maxStarts bounds how often a subscription starts over because its hold overflowed.
const maxStarts = 5

// state is what a joiner is told. Everything in it is true at position: what was published
// up to there is in it or was before the join, what comes later will be delivered.
type state struct {
	position protocol.Position
	members  []protocol.Member     // kinds with members
	replay   *protocol.Publication // kinds with a cache; nil is a miss
	cacheErr error                 // the cache could not be read
}

// Subscribe joins c to a channel whose name and signature the caller has checked, and
// replies: success, then the cache. m is the member for kinds with members. f says which
// events the subscription is for (pusher-protocol 7.6): a cached event that is not one of them
// is neither replayed nor a miss. Channels of user kind have no subscription and heed no f.
// Subscribing again only replaces the filter and replies again (2.8): before the reply frames
// come by the former filter or by f, after it by f.
//
// A returned error was not sent and has changed nothing for anybody. Only when again and
// again more is published than a held subscription keeps (hub.ErrHeldOverflow) does an error
// come after success was sent: then c has left the channel with every effect of that.
func (e *Engine) Subscribe(ctx context.Context, c *Connection, name string, m protocol.Member, f *protocol.Filter) *protocol.Error {
	if c.hasLeft() {
		return protocol.ErrInternal
	}
	if s := c.subs.Get(name); s != nil {
		return e.subscribeAgain(ctx, c, s, f)
	}
	kind := room.KindOf(name)
	if kind.IsUser() {
		return c.subscribeUser(name)
	}
	topic := protocol.Topic{App: c.app.ID, Name: name}
	if kind.HasMembers() {
		added := memberAdded(c, topic, m)
		if err := e.hub.Reserve(ctx, added.Size()); err != nil {
			e.log.Warn("subscribe refused", "app", topic.App, "err", err)
			return protocol.ErrInternal.Withf("The server is busy; subscribe again later")
		}
	}
	s := new(subscription)
	var kept *protocol.Member // nil for kinds without members
	if kind.HasMembers() {
		var perr *protocol.Error
		if kept, perr = e.holdInfo(c, m); perr != nil {
			return perr
		}
	}
	st, err := e.join(ctx, c, s, topic, kept, f)
	if err != nil && kind.HasMembers() {
		e.dropInfo(c, m)
	}
	if perr := visibleError(err); perr != nil {
		return perr
	}
	if err != nil {
		e.log.Error("subscribe failed", "app", topic.App, "err", err)
		return protocol.ErrInternal
	}
	c.subs.Add(s)
	return e.goLive(ctx, c, s, st, f)
}

// join is the step that decides: when it returns without error, c is in the channel, held
// at the position of the state. What the client may see of an error is its visibleError.
func (e *Engine) join(
	ctx context.Context, c *Connection, s *subscription, topic protocol.Topic, m *protocol.Member, f *protocol.Filter,
) (state, error) {
	ch := e.table.lock(topic)
	defer ch.mu.Unlock()
	if limit := c.app.Limits.MaxPresenceMembers; ch.members != nil && limit > 0 && ch.members.Len() >= limit && !ch.members.Has(m.UserID) {
		return state{}, protocol.ErrPresenceFull.Withf("The channel has %d members, which is its limit", limit)
	}
	s.channel = ch
	if err := c.SubscribeFiltered(&s.Subscription, &ch.topic, f); err != nil {
		if ch.subs == 0 {
			e.table.removeLocked(ch)
		}
		return state{}, err
	}
	if ch.subs == 0 {
		if _, err := e.bus.Subscribe(ctx, &ch.topic); err != nil {
			s.Close()
			e.table.removeLocked(ch)
			return state{}, err
		}
		e.metrics.channels.Inc()
		if e.observer != nil {
			e.observer.Occupied(topic.App, topic.Name)
		}
	}
	ch.subs++
	e.metrics.subscriptions.Inc()
	st, err := e.enterLocked(ctx, c, ch, m)
	if err != nil {
		if undo := e.leaveLocked(ctx, c, s); undo != nil {
			err = fmt.Errorf("%w; undoing it: %w", err, undo)
		}
		e.forgetLocked(ch)
		return state{}, err
	}
	e.countChangedLocked(ctx, ch, c.app) // beyond the position, so c gets it too, after success
	return st, nil
}

// enterLocked makes c a member, tells the others if its user is new, and reads the state.
// After an error the caller must leave.
func (e *Engine) enterLocked(ctx context.Context, c *Connection, ch *channel, m *protocol.Member) (state, error) {
	if ch.members != nil && ch.members.Join(c.ID(), m) {
		if _, err := e.bus.Publish(ctx, memberAdded(c, ch.topic, *m), bus.Retention{}); err != nil {
			ch.members.Leave(c.ID()) // nobody was told, so nobody needs to hear of the leave
			return state{}, err
		}
		if e.observer != nil {
			e.observer.MemberAdded(ch.topic.App, ch.topic.Name, m.UserID)
		}
	}
	st, err := e.readLocked(ctx, ch)
	if err == nil && e.observer != nil && ch.kind.HasCache() && st.replay == nil && st.cacheErr == nil {
		e.observer.CacheMiss(ch.topic.App, ch.topic.Name)
	}
	return st, err
}

func memberAdded(c *Connection, topic protocol.Topic, m protocol.Member) *protocol.Publication {
	return &protocol.Publication{
		Topic: topic, Kind: protocol.KindMemberAdded, UserID: m.UserID, HasNumericID: m.HasNumericID, Data: m.Info, Except: c.ID(),
	}
}

// readLocked reads the state of ch. Nobody joins or leaves under the lock, so the members
// are those at the position, whichever of the two is read first.
func (e *Engine) readLocked(ctx context.Context, ch *channel) (st state, err error) {
	if ch.members != nil {
		st.members = ch.members.List()
	}
	if ch.kind.HasCache() {
		kept, position, err := e.bus.Retained(ctx, ch.topic)
		if err == nil {
			st.position = position
			if kept != nil {
				st.replay = kept.Publication
			}
			return st, nil
		}
		st.cacheErr = err // a miss then, and the subscription stays (pusher-protocol 2.9)
	}
	st.position, err = e.bus.Position(ctx, ch.topic)
	return st, err
}

// visibleError is what the client may see of err, nil when that is nothing.
func visibleError(err error) *protocol.Error {
	if errors.Is(err, hub.ErrFilterMemory) {
		return protocol.ErrFilter.Withf("The server keeps too many different filters; subscribe without one, or again later")
	}
	perr, _ := errors.AsType[*protocol.Error](err)
	return perr
}

// goLive replies and lets the publications flow. The subscription is held, so nothing of
// the channel comes before the reply although no lock is held over encoding it.
//
// When more was published during the hold than is kept, it starts over: success comes
// again, with what is true then, and stands for what was missed.
func (e *Engine) goLive(ctx context.Context, c *Connection, s *subscription, st state, f *protocol.Filter) *protocol.Error {
	for start := 1; ; start++ {
		e.reply(c, s.channel, st, f)
		err := s.Release(st.position)
		if err == nil {
			return nil
		}
		if start < maxStarts {
			if st, err = e.restart(ctx, s); err == nil {
				continue
			}
		}
		e.log.Warn("subscribe failed", "app", c.app.ID, "err", err)
		e.drop(ctx, c, s)
		return protocol.ErrInternal.Withf("Too much was published while subscribing; subscribe again later")
	}
}

// restart makes the subscription held again and reads the state anew.
func (e *Engine) restart(ctx context.Context, s *subscription) (state, error) {
	ch := s.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	s.Hold()
	return e.readLocked(ctx, ch)
}

func (e *Engine) reply(c *Connection, ch *channel, st state, f *protocol.Filter) {
	c.replier.Reply(&protocol.Message{
		Kind:     protocol.MessageSubscriptionSucceeded,
		Channel:  ch.topic.Name,
		Presence: ch.kind.HasMembers(),
		Members:  st.members,
	})
	if ch.kind.HasCache() && (st.replay == nil || f.Passes(st.replay)) {
		e.replay(c, ch, st)
	}
}

func (e *Engine) replay(c *Connection, ch *channel, st state) {
	if st.replay != nil {
		e.metrics.cacheHits.Inc()
		c.replier.ReplyPublication(st.replay)
		return
	}
	if st.cacheErr != nil {
		e.metrics.cacheErrors.Inc()
		e.log.Warn("cache not readable", "app", ch.topic.App, "err", st.cacheErr)
	} else {
		e.metrics.cacheMisses.Inc()
	}
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageCacheMiss, Channel: ch.topic.Name})
}

// subscribeAgain replies once more and changes nothing but the filter (pusher-protocol 2.8).
//
// Without a cache the subscription stays live: it must not lose a publication. Member
// events that still wait for fan-out then come after the list that has them already, which
// tells the client nothing new. With a cache an older event must not come after the newer
// one that is replayed, so the subscription starts over, held.
func (e *Engine) subscribeAgain(ctx context.Context, c *Connection, s *subscription, f *protocol.Filter) *protocol.Error {
	var st state
	var err error
	if s.channel.kind.HasCache() {
		st, err = e.restart(ctx, s)
	} else {
		s.channel.mu.Lock()
		st, err = e.readLocked(ctx, s.channel)
		s.channel.mu.Unlock()
	}
	if err == nil {
		err = s.SetFilter(f)
	}
	if err == nil {
		return e.goLive(ctx, c, s, st, f)
	}
	perr := visibleError(err)
	if perr == nil {
		e.log.Error("subscribe failed", "app", c.app.ID, "err", err)
		perr = protocol.ErrInternal
	}
	if s.Release(protocol.Position{}) != nil { // otherwise all that was held is delivered
		e.drop(ctx, c, s)
	}
	return perr
}
