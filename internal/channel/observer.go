package channel

import "github.com/millrace/millrace/internal/protocol"

// Observer is told what happens to channels and users of this node, for webhooks
// (pusher-protocol 6.1): at once, without the grace that webhooks have. Calls that concern
// one channel or one user come one at a time, in the order in which things happened, under
// the lock of that channel; they must not block and must not call the engine.
//
// Nothing is told of user channels, nor of a subscription that changes nothing.
type Observer interface {
	// Occupied and Vacated: the first subscriber came, the last one left.
	Occupied(app, channel string)
	Vacated(app, channel string)
	// MemberAdded and MemberRemoved: the first connection of a user came, its last one left.
	MemberAdded(app, channel, userID string)
	MemberRemoved(app, channel, userID string)
	// HearsClientEvents reports whether ClientEvent does anything for the app. Otherwise it need
	// not be called, which saves holding the lock of the channel while an event is published.
	HearsClientEvents(app string) bool
	// ClientEvent was accepted. data is JSON as the client sent it, nil without; it may be kept
	// and must not be changed. userID is empty unless the channel has members.
	ClientEvent(app, channel, event string, data []byte, socketID protocol.SocketID, userID string)
	// CacheMiss: a join of a cache channel found nothing.
	CacheMiss(app, channel string)
	// SubscriptionCount: the number of subscribers of a channel without members has become n.
	SubscriptionCount(app, channel string, n int)
	// UserOnline and UserOffline: the first connection of a user signed in, its last one is gone.
	UserOnline(app, userID string)
	UserOffline(app, userID string)
}

// Announce tells the observer of all that is present in an app, as if it came now: channels,
// members, users. For an observer that wants to hear from now on of what it did not before.
func (e *Engine) Announce(app string) {
	if e.observer == nil {
		return
	}
	for _, ch := range e.table.all(func(t protocol.Topic) bool { return t.App == app }) {
		e.announce(ch)
	}
}

// announce tells under the lock, so that a leave comes either before and nothing is told, or
// after.
func (e *Engine) announce(ch *channel) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	app, name := ch.topic.App, ch.topic.Name
	switch {
	case ch.isGone || ch.subs == 0: // who only watches a user is no presence of it
		return
	case ch.kind.IsUser():
		e.observer.UserOnline(app, ch.userID())
		return
	}
	e.observer.Occupied(app, name)
	if ch.members == nil {
		return
	}
	for _, m := range ch.members.List() {
		e.observer.MemberAdded(app, name, m.UserID)
	}
}
