// Package presence decides which coming and going of channels, members and users is told, and
// when (pusher 6.1), and puts events in order for the writer that stores them.
//
// Of channels, members and users there is one [webhook.Subject] each, a small state machine: is it
// there, and have the receivers been told so. The tracker makes an event when the two differ, and
// an event of a leave only after its grace. Therefore occupied and vacated of a channel alternate,
// whatever happens in between; likewise members and users.
//
// # After a start
//
// The caller restores the subjects that a former process has announced. They are announced and not
// there, in a state of their own: the recovery. A subject leaves it once, when it comes back or when
// the grace of the start is over and its end is told, with [webhook.CauseServerRestart]. So a subject that comes back in
// time causes no event at all, and after another kill the same starts over with the subjects that
// are left. The caller says how many it takes in one turn.
//
// It must never know endpoints, stores and requests. It starts no goroutine and never waits: rooms
// call it under their locks, and the writer calls [Tracker.Expire] and [Tracker.Recover] when
// [Tracker.Wait] says so.
//
// # Loss
//
// The queue of the writer is bounded. While it is full, events of coming and going are kept as the
// latest state of their subject: what has come and gone in that time is not told, but the
// receivers' picture stays right. Other events are dropped and counted. Subjects are bounded too;
// what comes beyond the bound is not told at all, neither its coming nor its going.
package presence
