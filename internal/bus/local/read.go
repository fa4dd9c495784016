package local

import (
	"context"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// State implements bus.Bus.
func (b *Bus) State(ctx context.Context, t protocol.Topic) (bus.State, error) {
	st, err := b.state(&t)
	if err == nil {
		b.withStream(ctx, &t, &st)
	}
	return st, err
}

func (b *Bus) state(t *protocol.Topic) (bus.State, error) {
	s, err := b.lock(t)
	if err != nil {
		return bus.State{}, err
	}
	defer s.mu.Unlock()
	r := s.room(t)
	var now time.Duration
	if r != nil {
		now = b.timeOf(r)
	}
	return b.stateLocked(s, r, t, now), nil
}

// stateLocked reads the state of a topic, which may have no room.
func (b *Bus) stateLocked(s *stripe, r *room.Room, t *protocol.Topic, now time.Duration) bus.State {
	st := bus.State{Position: b.at(s.offset), IsKept: b.isKept(t)}
	if st.IsKept {
		st.Stream = s.streams[t.Key()]
	}
	if t.Kind == protocol.TopicWatch {
		of := s.rooms[protocol.TopicUser].Get(t.Key())
		st.IsOnline = of != nil && of.Subscriptions() > 0
	}
	if r == nil {
		return st
	}
	st.Members = r.Members()
	if p, remaining := r.Retained(now); p != nil {
		st.Retained = &bus.Retained{Publication: p, Remaining: remaining}
	}
	return st
}

// Status implements bus.Bus.
func (b *Bus) Status(ctx context.Context, q bus.StatusQuery) (page bus.StatusPage, err error) {
	if q.Name != "" {
		return b.statusOf(ctx, protocol.Topic{App: q.App, Name: q.Name}, q.HasStream)
	}
	b.each(q.App, func(_ *stripe, r *room.Room) {
		if r.IsChannel() && r.Subscriptions() > 0 && strings.HasPrefix(r.Topic().Name, q.Prefix) {
			page.Topics = append(page.Topics, status(r))
		}
	})
	if b.isClosed.Load() {
		return bus.StatusPage{}, bus.ErrClosed
	}
	return page, nil
}

// statusOf is the status of one channel.
func (b *Bus) statusOf(ctx context.Context, t protocol.Topic, hasStream bool) (page bus.StatusPage, err error) {
	if hasStream && b.isKept(&t) {
		l, err := b.locate(ctx, &t)
		if err != nil {
			return page, err
		}
		page.Topics = append(page.Topics, l.count)
		return page, nil
	}
	s, err := b.lock(&t)
	if err != nil {
		return page, err
	}
	defer s.mu.Unlock()
	if r := s.room(&t); r != nil {
		page.Topics = append(page.Topics, status(r))
	}
	return page, nil
}

func status(r *room.Room) bus.Status {
	return bus.Status{Name: r.Topic().Name, Subscriptions: r.Subscriptions(), Users: r.Users()}
}

// Announce tells the listener of all that is present in an app, as if it came now: channels,
// members, users. For a listener that wants to hear from now on of what it did not before. Each
// topic is told under its lock, so a leave comes either before and nothing is told, or after.
func (b *Bus) Announce(app string) {
	if b.listener == nil {
		return
	}
	b.each(app, func(s *stripe, r *room.Room) {
		events := r.Present(s.events)
		for i := range events {
			b.listener.Tell(&events[i])
		}
		clear(events)
		s.events = events[:0]
	})
}

// each calls fn with every room of an app, under its lock.
func (b *Bus) each(app string, fn func(*stripe, *room.Room)) {
	for i := range b.stripes {
		s := &b.stripes[i]
		s.mu.Lock()
		for kind := range s.rooms {
			for r := range s.rooms[kind].All() {
				if r.Topic().App == app {
					fn(s, r)
				}
			}
		}
		s.mu.Unlock()
	}
}
