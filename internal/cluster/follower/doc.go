// Package follower is what a node does about the topics of its connections, as a state machine: it asks
// owners, follows the topics that have subscriptions here, and asks again when an owner is lost.
//
// A [Follower] believes the highest term of a partition that it has heard of, and takes nothing from
// an earlier owner. When a term begins it reports what it has, then sends again what is safe to send again.
// Of a topic with a stream it hands on every serial once, in order, or tells of the gap.
//
// It has no I/O, no goroutines, no locks and no clock.
package follower
