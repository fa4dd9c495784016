// Package presence decides which coming and going of channels, members and users is told, and
// when (pusher 6.1), and puts events in order for the writer that stores them.
//
// Of channels, members and users there is one [webhook.Subject] each, a small state machine: is it
// there, and have the receivers been told so. The tracker makes an event when the two differ, and
// an event of a leave only after its grace. Therefore occupied and vacated of a channel alternate,
// whatever happens in between; likewise members and users.
//
// It must never know endpoints, stores and requests. It starts no goroutine and never waits: rooms
// call it under their locks, and the writer calls [Tracker.Expire] when [Tracker.Wait] says so.
//
// # Loss
//
// The queue of the writer is bounded. While it is full, events of coming and going are kept as the
// latest state of their subject: what has come and gone in that time is not told, but the
// receivers' picture stays right. Other events are dropped and counted. Subjects are bounded too;
// what comes beyond the bound is not told at all, neither its coming nor its going.
package presence
