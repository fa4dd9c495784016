package channel

import (
	"cmp"
	"context"
	"slices"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// Status of one channel, for the HTTP API (pusher 5.5, 5.6).
type Status struct {
	Name          string
	Occupied      bool
	Subscriptions int // connections
	Users         int // distinct users, kinds with members

	Position *protocol.StreamPosition // up to which the channel is kept, if it was asked for; nil where it is not kept
}

// Channels lists the occupied channels of a whose names begin with prefix, sorted by name.
// User channels are never occupied.
func (e *Engine) Channels(ctx context.Context, a *app.App, prefix string) ([]Status, error) {
	page, err := e.bus.Status(ctx, bus.StatusQuery{App: a.ID, Prefix: prefix})
	if err != nil {
		return nil, err
	}
	list := make([]Status, len(page.Topics))
	for i := range page.Topics {
		list[i] = statusOf(&page.Topics[i])
	}
	slices.SortFunc(list, func(x, y Status) int { return cmp.Compare(x.Name, y.Name) })
	return list, nil
}

// Channel is the status of one channel, occupied or not. User channels never are.
func (e *Engine) Channel(ctx context.Context, a *app.App, name string) (Status, error) {
	return e.statusOf(ctx, name, bus.StatusQuery{App: a.ID, Name: name})
}

// ChannelAt is Channel, with the position, read in one step.
func (e *Engine) ChannelAt(ctx context.Context, a *app.App, name string) (Status, error) {
	return e.statusOf(ctx, name, bus.StatusQuery{App: a.ID, Name: name, HasStream: true})
}

func (e *Engine) statusOf(ctx context.Context, name string, q bus.StatusQuery) (Status, error) {
	if _, isUser := protocol.UserOf(name); isUser || name == "" {
		return Status{Name: name}, nil
	}
	page, err := e.bus.Status(ctx, q)
	if err != nil || len(page.Topics) == 0 {
		return Status{Name: name}, err
	}
	return statusOf(&page.Topics[0]), nil
}

func statusOf(s *bus.Status) Status {
	return Status{Name: s.Name, Occupied: s.Subscriptions > 0, Subscriptions: s.Subscriptions, Users: s.Users, Position: s.Stream}
}

// Members lists the distinct users of a channel, sorted by id; none for kinds without
// members.
func (e *Engine) Members(ctx context.Context, a *app.App, name string) ([]protocol.Member, error) {
	if !room.KindOf(name).HasMembers() {
		return nil, nil
	}
	st, err := e.bus.State(ctx, protocol.Topic{App: a.ID, Name: name})
	slices.SortFunc(st.Members, func(x, y protocol.Member) int { return cmp.Compare(x.UserID, y.UserID) })
	return st.Members, err
}

// CachedAt reads the cached event of a channel, nil without one and for kinds without cache, and in the same step the
// position of the channel, nil where it is not kept.
func (e *Engine) CachedAt(ctx context.Context, a *app.App, name string) (*bus.Retained, *protocol.StreamPosition, error) {
	if !room.KindOf(name).HasCache() {
		return nil, nil, nil
	}
	st, err := e.bus.State(ctx, protocol.Topic{App: a.ID, Name: name})
	if err == nil {
		err = st.RetainedErr
	}
	if !st.IsKept || st.StreamErr != nil {
		return st.Retained, nil, err
	}
	return st.Retained, &st.Stream, err
}
