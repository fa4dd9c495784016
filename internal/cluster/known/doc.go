// Package known is what the owner of a partition knows to have happened, so that it happens once: the ids of publications, the
// claims of requests with keys, the answers that nodes got, and what webhooks were told. What is stored is known to the next owner
// too.
//
// It has no I/O, no goroutines, no locks and no clock.
package known
