// Package catchup works out what a reader of the entities of one type has still to be sent: a snapshot,
// the changes since a cursor, or what it missed (views 5.6 and 5.7). It reads in steps, each from the
// state as it is then; there is no copy of a type and no log of what a reader missed.
//
// It knows versions, change numbers and tombstones. It must never know connections, topics or frames, nor
// when a reader is sent the next step.
//
// # Order and loss
//
// A [List] sends what has changed since its beginning in ascending order of change numbers: whatever
// a reader has received, nothing is missing up to its last position. Where that is not possible, because
// tombstones have been forgotten that it needs, the step says so.
//
// [Recent] remembers the last keys of a window, for readers that have to be told what has changed in it.
//
// # Goroutines
//
// None, and no locks: a step is taken with the type locked.
package catchup
