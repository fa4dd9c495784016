// Package pusher is the dialect of Pusher Channels protocol 7: JSON text messages whose
// protocol data is JSON inside a JSON string (pusher 1.4 to 1.7, 2.4 to 2.10, 3).
// A view is a channel with a name of its own and four events: view:snapshot, view:upsert,
// view:patch and view:delete.
//
// It owns the spelling of every event and nothing else: it must never know whether a
// command is allowed, who is connected or what an app permits. It has no state and no
// goroutines; order and loss are its callers' business. Encoders append by hand, because
// they run once per publication and once per reply; what they append is valid JSON for
// any input strings, given that raw JSON fields hold JSON.
package pusher

import "github.com/millrace/millrace/internal/protocol"

// Codec is protocol 7. It is stateless and safe for concurrent use.
type Codec struct{}

var _ protocol.Codec = Codec{}

// Variant is the key under which the hub shares what this codec encodes.
func (Codec) Variant() protocol.Variant { return protocol.VariantPusher }

// IsBinary implements protocol.Codec: everything is text.
func (Codec) IsBinary(protocol.MessageKind) bool { return false }

// Names of events on the wire: those that clients send without their prefix.
const (
	namePing            = "ping"
	namePong            = "pong"
	nameSubscribe       = "subscribe"
	nameUnsubscribe     = "unsubscribe"
	nameSignIn          = "signin"
	prefixClient        = "client-"
	eventSignedIn       = "pusher:signin_success"
	eventWatchlist      = "pusher_internal:watchlist_events"
	eventMemberAdded    = "pusher_internal:member_added"
	eventMemberRemoved  = "pusher_internal:member_removed"
	eventSubscriptions  = "pusher_internal:subscription_count"
	headPing            = `{"event":"pusher:ping"}`
	headPong            = `{"event":"pusher:pong"}`
	headError           = `{"event":"pusher:error"`
	headEstablished     = `{"event":"pusher:connection_established","data":"{\"socket_id\":\"`
	headSucceeded       = `{"event":"pusher_internal:subscription_succeeded","channel":`
	headSubscriptionErr = `{"event":"pusher:subscription_error","channel":`
	headSnapshot        = `{"event":"view:snapshot","channel":`
	headCacheMiss       = `{"event":"pusher:cache_miss","channel":`
)
