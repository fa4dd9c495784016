package webhook

import "github.com/millrace/millrace/internal/room"

// Tell takes what has happened in a room: it is called by the room's owner, in the order in which
// things happen, under a lock of the owner's. It never blocks and never fails. Data of a client
// event is kept and must not change.
func (e *Engine) Tell(ev *room.Event) {
	channel := Subject{App: ev.App, Kind: SubjectChannel, Channel: ev.Channel}
	member := Subject{App: ev.App, Kind: SubjectMember, Channel: ev.Channel, User: ev.User}
	user := Subject{App: ev.App, Kind: SubjectUser, User: ev.User}
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
		e.tell(eventOf(KindClientEvent, ev.App, ev.Channel).client(ev.Name, ev.Data, ev.Socket, ev.User))
	case room.CacheMiss:
		e.tell(eventOf(KindCacheMiss, ev.App, ev.Channel))
	case room.SubscriptionCount:
		count := eventOf(KindSubscriptionCount, ev.App, ev.Channel)
		count.number = uint64(max(0, ev.Count))
		e.tell(count)
	case room.CountNotice: // for subscribers alone
	}
}
