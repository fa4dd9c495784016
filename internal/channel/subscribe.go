package channel

import (
	"context"
	"errors"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// maxStarts bounds how often a subscription starts over because its hold overflowed.
const maxStarts = 5

// Subscribe joins c to a channel whose name and signature the caller has checked, and
// replies: success, then the cache. m is the member for kinds with members. f says which
// events the subscription is for (pusher 7.6): a cached event that is not one of them
// is neither replayed nor a miss. Channels of user kind have no subscription, and f means nothing to them.
// Subscribing again only replaces the filter and replies again (pusher 2.8): before the reply frames
// come by the former filter or by f, after it by f.
//
// A returned error was not sent and has changed nothing for anybody. Only when again and
// again more is published than a held subscription keeps (hub.ErrHeldOverflow) does an error
// come after success was sent: then c has left the channel with every effect of that.
func (e *Engine) Subscribe(ctx context.Context, c *Connection, name string, m protocol.Member, f *protocol.Filter) *protocol.Error {
	return e.SubscribeSince(ctx, c, name, m, f, Past{})
}

// SubscribeSince is Subscribe, and then sends c what it asks for of the past, before anything that is live. Without it, where
// it cannot be had, the subscription stands all the same, and c is told so. ErrResumeBusy: c has asked for too
// much of the past already.
func (e *Engine) SubscribeSince(
	ctx context.Context, c *Connection, name string, m protocol.Member, f *protocol.Filter, past Past,
) *protocol.Error {
	if c.hasLeft() {
		return protocol.ErrInternal
	}
	if !past.isEmpty() && e.isBusy(c) {
		return protocol.ErrResumeBusy
	}
	if s := c.subs.Get(name); s != nil {
		if err := e.subscribeAgain(ctx, c, s, f); err != nil || past.isEmpty() {
			return err
		}
		return e.request(ctx, c, newRequest(name, past))
	}
	if id, isUser := protocol.UserOf(name); isUser {
		return c.subscribeUser(name, id)
	}
	s := new(subscription)
	var kept *protocol.Member // nil for kinds without members
	if room.KindOf(name).HasMembers() {
		var perr *protocol.Error
		if kept, s.Note, perr = e.holdInfo(c, m); perr != nil {
			return perr
		}
	}
	st, err := e.join(ctx, c, s, protocol.Topic{App: c.app.ID, Name: name}, kept, f)
	if err != nil {
		return e.refuse(c, err)
	}
	c.subs.Add(s)
	if past.isEmpty() {
		return e.goLive(ctx, c, s, st, f)
	}
	e.succeeded(c, s.channel, &st)
	r := newRequest(name, past)
	r.left[0].sub, r.left[0].isNew, r.left[0].joined, r.left[0].at = s, true, st, st.Position
	return e.request(ctx, c, r)
}

// join is the step that decides: when it returns without error, c is in the channel, held
// at the position of the state. After an error c is not, and the bus has been told so.
func (e *Engine) join(
	ctx context.Context, c *Connection, s *subscription, topic protocol.Topic, m *protocol.Member, f *protocol.Filter,
) (st bus.State, err error) {
	ch, part, isFirst := e.table.enter(topic, nil)
	s.channel = ch
	e.metrics.subscriptions.Inc()
	if isFirst {
		e.metrics.channels.Inc()
	}
	if err = c.SubscribeFiltered(&s.Subscription, &ch.topic, f); err == nil {
		st, err = e.bus.Join(ctx, bus.Join{
			Topic: &ch.topic, Part: part, Subscriber: c.ID(), Member: m,
			MaxMembers: c.app.Limits.MaxPresenceMembers, HasNotices: c.app.Features.SubscriptionCount,
		})
	}
	if err != nil {
		s.Close()
		e.bus.Leave(e.leave(c, s))
	}
	return st, err
}

// refuse is what the client is told of a subscribe that failed with err.
func (e *Engine) refuse(c *Connection, err error) *protocol.Error {
	if perr := visibleError(err); perr != nil {
		return perr
	}
	switch {
	case errors.Is(err, bus.ErrBackpressure):
		e.log.Warn("subscribe refused", "app", c.app.ID, "err", err)
		return protocol.ErrInternal.Withf("The server is busy; subscribe again later")
	case errors.Is(err, bus.ErrUnavailable), errors.Is(err, bus.ErrUncertain):
		e.log.Warn("subscribe refused", "app", c.app.ID, "err", err)
		return protocol.ErrInternal.Withf("The channel cannot be reached right now; subscribe again later")
	}
	e.log.Error("subscribe failed", "app", c.app.ID, "err", err)
	return protocol.ErrInternal
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
func (e *Engine) goLive(ctx context.Context, c *Connection, s *subscription, st bus.State, f *protocol.Filter) *protocol.Error {
	for start := 1; ; start++ {
		e.reply(c, s.channel, &st, f)
		err := s.Release(st.Position)
		if err == nil {
			return nil
		}
		if start < maxStarts {
			if st, err = e.restart(ctx, s); err == nil {
				continue
			}
		}
		e.log.Warn("subscribe failed", "app", c.app.ID, "err", err)
		e.drop(c, s)
		return protocol.ErrInternal.Withf("Too much was published while subscribing; subscribe again later")
	}
}

// restart makes the subscription held again and then reads the state again.
func (e *Engine) restart(ctx context.Context, s *subscription) (bus.State, error) {
	s.Hold()
	return e.bus.State(ctx, s.channel.topic)
}

func (e *Engine) reply(c *Connection, ch *channel, st *bus.State, f *protocol.Filter) {
	e.succeeded(c, ch, st)
	if ch.kind.HasCache() && (st.Retained == nil || f.Passes(st.Retained.Publication)) {
		e.replay(c, ch, st)
	}
}

// succeeded says that c is subscribed, and what is true of the channel.
func (e *Engine) succeeded(c *Connection, ch *channel, st *bus.State) {
	m := &protocol.Message{
		Kind:     protocol.MessageSubscriptionSucceeded,
		Channel:  ch.topic.Name,
		Presence: ch.kind.HasMembers(),
		Members:  st.Members,
	}
	if st.IsKept && st.StreamErr == nil {
		m.Position = &st.Stream
	}
	c.replier.Reply(m)
}

// replay sends the cached event.
func (e *Engine) replay(c *Connection, ch *channel, st *bus.State) {
	if st.Retained != nil {
		e.metrics.cacheHits.Inc()
		c.replier.ReplyPublication(st.Retained.Publication)
		return
	}
	if st.RetainedErr != nil {
		e.metrics.cacheErrors.Inc()
		e.log.Warn("cache not readable", "app", ch.topic.App, "err", st.RetainedErr)
	} else {
		e.metrics.cacheMisses.Inc()
	}
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageCacheMiss, Channel: ch.topic.Name})
}

// subscribeAgain replies once more and changes nothing but the filter (pusher 2.8).
//
// A channel without state stays live. One with state starts over, held, so that nothing comes
// before the state that is later than the state. With a cache, nothing older than the event that
// is replayed may come after it either. Without one, all that was held comes: no publication is
// lost, and events of members that the list has already tell the client nothing new.
func (e *Engine) subscribeAgain(ctx context.Context, c *Connection, s *subscription, f *protocol.Filter) *protocol.Error {
	var st bus.State
	var err error
	kind := s.channel.kind
	switch {
	case e.isReplaying(c, s):
		return e.answerAgain(ctx, c, s, f)
	case kind.HasCache() || kind.HasMembers():
		st, err = e.restart(ctx, s)
	}
	st.IsKept = false // publications of before it may still come, or were skipped: it is no position of the client
	if !kind.HasCache() {
		st.Position = protocol.Position{}
	}
	if err == nil {
		err = s.SetFilter(f)
	}
	if err == nil {
		return e.goLive(ctx, c, s, st, f)
	}
	if s.Release(protocol.Position{}) != nil { // otherwise all that was held is delivered
		e.drop(c, s)
	}
	return e.refuse(c, err)
}

// answerAgain replies once more to a client that is being sent what it has missed, which goes on.
func (e *Engine) answerAgain(ctx context.Context, c *Connection, s *subscription, f *protocol.Filter) *protocol.Error {
	st, err := e.bus.State(ctx, s.channel.topic)
	if err == nil {
		err = s.SetFilter(f)
	}
	if err != nil {
		return e.refuse(c, err)
	}
	st.IsKept = false
	e.succeeded(c, s.channel, &st)
	return nil
}
