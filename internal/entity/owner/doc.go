// Package owner decides what mutations do to entities, as the owner of an app's entities does
// (views 5.6, 5.7 and 6): their order, what a patch merges into, positions and change numbers,
// idempotency, which tombstones are kept, and what is stored.
//
// It reads the [entity.State] of its own node, and changes it only by installing what it has decided
// and stored, as every other node does. It must never know who subscribes to what.
//
// # Order and loss
//
// The applier takes all batches that wait, decides them one after the other beside the state, stores
// the group in one commit, installs it type by type, and then answers (package commit). So a batch
// is applied whole or not at all, an acknowledged one is stored, no reader sees what is not stored, and
// no reader waits for the disk. A position rises with each batch that changes something and never goes
// back, over a restart either.
//
// # Parts
//
//   - A preparer checks a batch and makes its documents canonical, on the goroutine of the caller.
//   - The decider turns it into decisions: drafts, one for each type of the group.
//   - The applier stores and installs the drafts, or drops them.
//
// With several nodes a log stores instead. A [Decider] is the preparer and the decider alone: it answers with changes in their
// stored form, which every node installs when the log has them.
//
// # Goroutines
//
// None of its own: Owner.Run is the applier, on the goroutine of its caller; Apply checks and reads a
// batch on the goroutine of its caller and then waits.
package owner
