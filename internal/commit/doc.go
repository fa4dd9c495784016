// Package commit shares one write to a store among all callers that wait for one (group commit).
//
// It owns the queue, its bounds, the cut into groups, the order of the steps and the answers. It
// must never know what an item means nor what a store is: a [Committer] does.
//
// # Order and loss
//
// Serve takes all that waits, up to the bounds of a group, and calls Store with it, then Install or
// Refuse, and then answers each caller. Groups follow one another; the items of a group are in the
// order in which they were put. So what Install makes visible is stored, a caller that has no
// error knows that its item is, and nothing of a group that could not be stored is visible.
//
// With [Options.Patience], Serve waits a moment for callers that were answered together before it takes the next
// group: a few large groups cost the store less than many small ones.
//
// An item is refused with [ErrFull] when the queue has no room for it, and with [ErrClosed] after
// the end: then nothing has happened. A caller whose context ends while its item still waits
// gets the context's error, and the item is not committed; later it gets [ErrUncertain]. Where
// [Options.IsInstant], it gets its answer.
//
// When Serve's context ends, its caller closes the queue for new items, and Finish commits what was
// accepted.
//
// A panic in a Committer may leave a state that differs from the store. So the queue
// takes nothing more, callers of that group get ErrUncertain, those that wait ErrClosed, and
// Serve or Finish returns the [Panic].
//
// # Goroutines
//
// None of its own: Serve and Finish run on the goroutine of their caller.
package commit
