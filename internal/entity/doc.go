// Package entity holds keyed state: JSON objects by app, type and key, the mutations that
// change them, and the order of those changes (live-views 5.6, 5.7 and 6).
//
// It must never know who subscribes to what, nor how a change travels: it tells one Receiver.
//
// Goroutines: none of its own. Engine.Run is the applier, on the goroutine of its caller;
// Apply checks and reads a batch on the goroutine of its caller and then waits.
//
// Order and loss: the applier takes all batches that wait, stages their versions beside the
// state, stores the group in one commit, and only then installs the versions, type by type
// under the type's lock, where it also tells the Receiver. So a batch is applied whole or not
// at all, an acknowledged one is stored, nobody sees what is not stored, and nobody waits for
// the disk to read. Per type, changes are told in the order of their numbers, which are never
// given twice; _seq rises with them and never goes back, over a restart either. A position
// also says which Run gave it out, so that one of another state is noticed (Engine.Knows).
package entity
