// Package hub is the fan-out of one node: from a publication to the connections that
// subscribe to its topic. It owns the table of topics, the subscriptions and the frames it
// encodes. It must never know an app's rules, a channel's kind or how a connection writes.
//
// Connections are split in shards. [Hub.Receive] appends to the inbox of each shard that
// has subscribers and returns. The shard's flusher takes everything that waits, encodes each
// publication once per variant, joins the frames of a topic to a run and makes one write per
// connection. Under light load that is one frame at once; under heavy load the batch grows
// by itself, and nothing is ever delayed to make it grow.
//
// A subscription may have a filter of event names. The subscriptions of a topic with the same
// variant, filter and mode are a cohort: what it gets of a round is decided once and shares the bytes
// that were encoded for all. A cohort that gets nothing is not looked at, and an index finds the
// others when they are many (docs/adr/0014).
//
// Goroutines: one flusher per shard, from [Hub.Run] until its context ends.
//
// Order: on every connection the publications of a topic arrive in the order of Receive.
// Between topics there is no order; in one batch, topics with few subscribers come first.
//
// Loss: the hub loses nothing between Release and Close of a subscription; what a connection
// does when its queue is full is the connection's affair. A subscription made by Follow is
// not delivered to while its connection is congested: it lags, notes in bounded memory what
// it misses, and its owner starts over from there. Inboxes are bounded through [Hub.Reserve]:
// when fan-out is behind, publishers wait, then are refused. [Hub.Flush] waits until what was
// received has been handed to the connections, for an owner that is about to close them.
package hub
