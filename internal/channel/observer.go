package channel

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
	// ClientEvent was accepted. data is JSON as the client sent it, nil without; it may be kept
	// and must not be changed. userID is empty unless the channel has members.
	ClientEvent(app, channel, event string, data []byte, socketID, userID string)
	// CacheMiss: a join of a cache channel found nothing.
	CacheMiss(app, channel string)
	// SubscriptionCount: the number of subscribers of a channel without members has become n.
	SubscriptionCount(app, channel string, n int)
	// UserOnline and UserOffline: the first connection of a user signed in, its last one is gone.
	UserOnline(app, userID string)
	UserOffline(app, userID string)
}
