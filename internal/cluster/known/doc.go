// Package known is what the owner of a partition knows to have happened, so that it happens once: the ids of publications, and
// the claims of requests with keys. What is stored is known to the next owner too.
//
// It has no I/O, no goroutines, no locks and no clock.
package known
