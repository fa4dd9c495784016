// Package sendqueue is what waits to be written on a WebSocket connection: whole frames, in order,
// within limits of their number and of their bytes. Its account stays right while a socket takes any
// part of them, and it can drop all that a peer need not get without breaking a frame that has begun.
//
// The package does no I/O, takes no lock and starts no goroutine. It knows frames as the bytes of
// RFC 6455 and must never know what they say. Package socket keeps one queue for each connection that
// something waits for.
package sendqueue
