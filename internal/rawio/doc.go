// Package rawio reads and writes sockets that never block, without telling Go's scheduler.
//
// A usual system call tells the scheduler that it may take long. While calls of some
// microseconds follow each other on every processor, the scheduler's monitor wakes each 20 us
// to see whether one of them hangs, and takes processors away from those that were slow and
// gives them back: measured, a tenth of what a publish costs. A call on a socket in
// non-blocking mode cannot hang, so there is nothing to tell (docs/adr/0010).
//
// The package owns nothing and starts no goroutine. It must never be used with a socket in
// blocking mode. Files and pipes fail with ENOTSOCK on most systems.
package rawio
