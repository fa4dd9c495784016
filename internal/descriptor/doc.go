// Package descriptor knows the file descriptors of the process: the number of a connection's, how many
// the process may have, and the last of them, which are kept for others than connections.
//
// The system gives the lowest descriptor that is free, so a number tells how many are taken. The
// package opens and closes none, takes no lock and starts no goroutine. The engine of connections keeps
// the account of the [Spare] ones; package listen decides who may have them.
package descriptor
