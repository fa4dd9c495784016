// Package probe measures a server from beside it: the processor time and the resident memory of
// its process, which the kernel tells, and what its metrics page and its heap profile say.
//
// It knows no protocol and publishes nothing. What cannot be seen, because a server is on
// another machine, belongs to another user or has no metrics page, is unknown and no error:
// [Find] says what is missing and why.
//
// It starts no goroutine. A [Server] is safe for concurrent use.
package probe
