// Package session has what the sessions of both protocols share: the parts that a session embeds, the
// table of a node's open connections, the bounds on their number, the drain that ends them, and their
// metrics. Its children are the protocols: session/pusher serves channels, session/views live views.
//
// It must never know a protocol, how frames are written or an app's rules beyond its
// connection quota. Its goroutines are the workers that carry out the effects of ended connections,
// which Table.Run joins, and one that restarts the sessions given to RestartAll while there are any;
// Drain joins it. Drain and CloseAll run on the goroutine of their caller. Sessions call everything
// else, and package socket lets each session run one call at a time.
package session
