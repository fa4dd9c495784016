package channel

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// Unsubscribe ends c's subscription to the channel, with every effect on the others. When it
// returns no further frame of the channel is queued to c. Without a subscription it does
// nothing at all (pusher-protocol 2.6).
func (e *Engine) Unsubscribe(c *Connection, name string) {
	if s := c.subs.Get(name); s != nil {
		e.drop(context.Background(), c, s)
	}
}

func (e *Engine) drop(ctx context.Context, c *Connection, s *subscription) {
	if err := e.leave(ctx, c, s); err != nil {
		e.log.Error("leave not told", "app", c.app.ID, "err", err)
	}
	c.subs.Remove(s)
}

// Leave ends all subscriptions and the sign-in of a connection that is gone, with every effect
// on the others, and detaches it from the hub. Idempotent. Subscribe and SignIn refuse c from
// then on. An error means that others were not told of something; it has happened all the same.
func (e *Engine) Leave(c *Connection) (err error) {
	if c.hasLeft() {
		return nil
	}
	c.Detach()
	for s := range c.subs.All() {
		err = errors.Join(err, e.leave(context.Background(), c, s))
	}
	c.subs = keyed.Set[string, *subscription]{}
	err = errors.Join(err, e.signOut(c))
	c.replier = nil // nobody reaches for it, for c is in no list of users
	return err
}

// leave does not take s off c's list. It always happens: whether ctx has ended means nothing.
// An error means that the others were not told that a user is gone.
func (e *Engine) leave(ctx context.Context, c *Connection, s *subscription) error {
	ch := s.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.members != nil {
		e.dropInfo(c, ch.members.Said(c.ID()))
	}
	err := e.leaveLocked(ctx, c, s)
	e.countChangedLocked(ctx, ch, c.app)
	e.forgetLocked(ch) // last: from then on another channel of this name tells the observer
	return err
}

// leaveLocked takes c out of the channel. Whoever calls it forgets the channel. An error means
// that the others were not told that a user is gone.
func (e *Engine) leaveLocked(ctx context.Context, c *Connection, s *subscription) (err error) {
	ch := s.channel
	s.Close()
	ch.subs--
	e.metrics.subscriptions.Dec()
	if ch.members != nil {
		if m, isLast := ch.members.Leave(c.ID()); isLast {
			// A leave cannot be refused, so it waits neither for room nor with a context that ends.
			_, err = e.bus.Publish(context.WithoutCancel(ctx), &protocol.Publication{
				Topic: ch.topic, Kind: protocol.KindMemberRemoved, UserID: m.UserID, HasNumericID: m.HasNumericID, Except: c.ID(),
			}, bus.Retention{})
			if err != nil {
				err = fmt.Errorf("member_removed not published: %w", err)
				e.metrics.noticeFailures.Inc()
			}
			if e.observer != nil {
				e.observer.MemberRemoved(ch.topic.App, ch.topic.Name, m.UserID)
			}
		}
	}
	if ch.subs == 0 {
		e.dropNoticeLocked(ch)
		e.bus.Unsubscribe(ch.topic)
		e.metrics.channels.Dec()
		if e.observer != nil {
			e.observer.Vacated(ch.topic.App, ch.topic.Name)
		}
	}
	return err
}
