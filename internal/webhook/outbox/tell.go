package outbox

import (
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/webhook"
)

// Tell takes what has happened in a room: it is called by the room's owner, in the order in which
// things happen, under a lock of the owner's. It never blocks and never fails. Data of a client
// event is kept and must not change.
func (e *Outbox) Tell(ev *room.Event) {
	channel := webhook.Subject{App: ev.App, Kind: webhook.SubjectChannel, Channel: ev.Channel}
	member := webhook.Subject{App: ev.App, Kind: webhook.SubjectMember, Channel: ev.Channel, User: ev.User}
	user := webhook.Subject{App: ev.App, Kind: webhook.SubjectUser, User: ev.User}
	switch ev.Kind {
	case room.ChannelOccupied:
		e.enter(channel)
	case room.ChannelVacated:
		e.leave(channel)
	case room.MemberAdded:
		e.enter(member)
	case room.MemberRemoved: // of the last member it comes before ChannelVacated
		e.leave(member)
	case room.UserOnline:
		e.enter(user)
	case room.UserOffline:
		e.leave(user)
	case room.ClientEvent:
		e.tell(webhook.Event{
			Kind: webhook.KindClientEvent, App: ev.App, Channel: ev.Channel, User: ev.User,
			Name: ev.Name, Data: ev.Data, Socket: ev.Socket,
		})
	case room.CacheMiss:
		e.tell(webhook.Event{Kind: webhook.KindCacheMiss, App: ev.App, Channel: ev.Channel})
	case room.SubscriptionCount:
		e.tell(webhook.Event{
			Kind: webhook.KindSubscriptionCount, App: ev.App, Channel: ev.Channel, Number: uint64(max(0, ev.Count)),
		})
	case room.CountNotice: // for subscribers alone
	}
}

func (e *Outbox) enter(s webhook.Subject) {
	if r := e.routesOf(s.App); r != nil && r.kinds.Tracks(s.Kind) && !webhook.IsUserChannel(s.Channel) && r.tracks(&s) {
		e.tracker.Enter(s)
	}
}

func (e *Outbox) leave(s webhook.Subject) {
	if r := e.routesOf(s.App); r == nil || !r.kinds.Tracks(s.Kind) {
		return
	}
	grace := e.o.Grace
	if s.Kind == webhook.SubjectUser {
		grace = e.o.UserGrace
	}
	e.tracker.Leave(s, grace)
}

func (e *Outbox) tell(ev webhook.Event) {
	if e.Wants(ev.App, ev.Kind) && !webhook.IsUserChannel(ev.Channel) {
		e.tracker.Tell(ev)
	}
}
