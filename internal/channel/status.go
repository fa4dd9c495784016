package channel

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// Status of one channel, for the HTTP API (pusher-protocol 5.5, 5.6).
type Status struct {
	Name          string
	Occupied      bool
	Subscriptions int // connections
	Users         int // distinct users, kinds with members
}

// Channels lists the occupied channels of a whose names begin with prefix, sorted by name.
// User channels are never occupied.
func (e *Engine) Channels(a *app.App, prefix string) []Status {
	found := e.table.all(func(t protocol.Topic) bool {
		return t.App == a.ID && strings.HasPrefix(t.Name, prefix) && !room.KindOf(t.Name).IsUser()
	})
	list := make([]Status, 0, len(found))
	for _, ch := range found {
		if s := ch.status(); s.Occupied {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(x, y Status) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// Channel is the status of one channel, occupied or not. User channels never are.
func (e *Engine) Channel(a *app.App, name string) Status {
	ch := e.table.find(protocol.Topic{App: a.ID, Name: name})
	if ch == nil || ch.kind.IsUser() {
		return Status{Name: name}
	}
	return ch.status()
}

func (ch *channel) status() Status {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	s := Status{Name: ch.topic.Name, Occupied: ch.subs > 0, Subscriptions: int(ch.subs)}
	if ch.members != nil {
		s.Users = ch.members.Len()
	}
	return s
}

// Members lists the distinct users of a channel, sorted by id; none for kinds without
// members.
func (e *Engine) Members(a *app.App, name string) []protocol.Member {
	ch := e.table.find(protocol.Topic{App: a.ID, Name: name})
	if ch == nil || !ch.kind.HasMembers() {
		return nil
	}
	ch.mu.Lock()
	list := ch.members.List()
	ch.mu.Unlock()
	slices.SortFunc(list, func(x, y protocol.Member) int { return strings.Compare(x.UserID, y.UserID) })
	return list
}

// Cached reads the cached event of a channel; nil without one and for kinds without cache.
func (e *Engine) Cached(ctx context.Context, a *app.App, name string) (*bus.Retained, error) {
	if !room.KindOf(name).HasCache() {
		return nil, nil
	}
	kept, _, err := e.bus.Retained(ctx, protocol.Topic{App: a.ID, Name: name})
	return kept, err
}
