// Package idempotency is what the owner of an app's idempotency keys decides, as a state machine:
// which request carries a key out, which ones wait for it, and which answer later requests with the
// key get, for how long (pusher 5.9).
//
// [Claims] has no I/O, no locks, no goroutines and no clock: the time is an argument, a duration
// since any moment that the owner has chosen. The owner serialises the calls. An answer is never
// forgotten before its time: where there is no room for another key, the owner refuses, because a
// publish that is not remembered may happen twice.
//
// [Owner] is how an API asks: it may be on another node. Its child idempotency/local is the owner
// of a cluster of one.
//
// The package must never know what a request does, nor what an answer says.
package idempotency
