// Package rawio has the system calls of sockets that never block, without telling Go's scheduler: it
// takes a socket away from package net, waits for many at once, reads and writes.
//
// A usual system call tells the scheduler that it may take long. While calls of some
// microseconds follow each other on every processor, the scheduler's monitor wakes each 20 us
// to see whether one of them hangs, and takes processors away from those that were slow and
// gives them back: measured, a tenth of what a publish costs. A call on a socket in
// non-blocking mode cannot hang, so there is nothing to tell (docs/adr/0010).
//
// The package starts no goroutine and knows no connection: the caller owns the descriptor. It must
// never be used with a socket in blocking mode. Files and pipes fail with ENOTSOCK on most systems.
package rawio
