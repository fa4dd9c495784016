package outbox_test

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// The methods below tell the engine what the owner of a room tells.

func (n *node) tell(k room.EventKind, app, channel, user string) {
	n.Tell(&room.Event{Kind: k, App: app, Channel: channel, User: user})
}

func (n *node) Occupied(app, channel string) { n.tell(room.ChannelOccupied, app, channel, "") }

func (n *node) Vacated(app, channel string) { n.tell(room.ChannelVacated, app, channel, "") }

func (n *node) MemberAdded(app, channel, user string) { n.tell(room.MemberAdded, app, channel, user) }

func (n *node) MemberRemoved(app, channel, user string) {
	n.tell(room.MemberRemoved, app, channel, user)
}
func (n *node) CacheMiss(app, channel string) { n.tell(room.CacheMiss, app, channel, "") }
func (n *node) UserOnline(app, user string)   { n.tell(room.UserOnline, app, "", user) }
func (n *node) UserOffline(app, user string)  { n.tell(room.UserOffline, app, "", user) }

func (n *node) SubscriptionCount(app, channel string, count int) {
	n.Tell(&room.Event{Kind: room.SubscriptionCount, App: app, Channel: channel, Count: count})
}

func (n *node) ClientEvent(app, channel, event string, data []byte, socket protocol.SocketID, user string) {
	n.Tell(&room.Event{Kind: room.ClientEvent, App: app, Channel: channel, User: user, Name: event, Data: data, Socket: socket})
}
