// Package session is what the sessions of both protocols share: the registry of a node's
// open connections, the bounds on their number, how they are told to go, and what is
// counted about them. Its children are the protocols: session/pusher serves channels,
// session/views live views.
//
// It must never know a protocol, how frames are written or an app's rules beyond its
// connection quota. Its goroutines are the workers that carry out the effects of connections that have
// ended, which Table.Run joins, and one that tells those of RestartAll to come back, while
// there are any; Drain joins it. Drain and CloseAll run on their caller's, everything else is called
// from sessions, of which package socket lets each run one call at a time.
package session
