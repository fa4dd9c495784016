// Package entity holds keyed state: JSON objects by app, type and key, as every node has it, and
// installs the changes that the owner of an app's entities has decided (views 5.6, 5.7 and 6).
//
// # Two halves
//
// Deciding is the owner's part, in package entity/owner: it puts mutations in an order, merges patches,
// gives out numbers and positions, remembers idempotency keys, bounds tombstones, and stores the result.
// It may know the store, the clock, the queue of callers and the state of its own node, which it reads
// and never changes but by installing.
//
// Installing is this package, on every node: [State.Install] takes [Decisions], puts the versions in
// the table of their type and tells one [Receiver], in one step under the type's lock. It may know
// what was decided and the state, and nothing else: no store, no clock, no queue, no owner. Decisions are
// values: nothing in them points into the state of the owner, so they may come over a link or out of a log, for which they
// have a stored form ([AppendDecisions]).
//
// The package must never know who subscribes to what, nor how a change travels.
//
// # Order and loss
//
// Decisions of one type are installed in the order of their numbers, each once: what the state has is
// left out, and decisions that do not follow what the state has are an error, so no gap passes in
// silence. Between types there is no order. Numbers rise, with gaps, because a number that was given
// out for a group that could not be stored is not given out again; so Decisions name the change that they
// follow. Positions rise with numbers, over a restart too, and say which [Run] gave them out, so that a
// position of another state is noticed ([State.Knows]).
//
// A reader sees a type as it is between two calls of Install, never in the middle of one.
//
// # Goroutines
//
// None. Install is called from one goroutine at a time; everything else is safe for concurrent use.
package entity
