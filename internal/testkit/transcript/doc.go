// Package transcript runs conversations with a server that are written as text: what is
// sent, what must come back, and what must not. Each case is named after the conformance
// case it shows, runs against a node of its own over real sockets, and can be replayed by
// hand or by a client library.
//
//	case H01: the first frame is the greeting
//	config apps.0.max_connections = 2    a setting, before anything else
//	conn a                               connect; the greeting is read
//	dial b /app/none?protocol=7          connect; nothing is read. "+ WHAT" sends at once
//	> a subscribe prices                 send: a shorthand or the JSON of a frame
//	< a succeeded prices                 receive: the next frame must be this
//	< a 2s..3s ping                      ... and come that long after a last spoke
//	< a (nothing)                        all that was caused has arrived, and it was nothing
//	< a close 4001                       the close frame; "< a lost" is the end without one
//	<~ a event prices tick 1             receive in any order
//	close a / cut a                      close with and without a closing handshake
//	http POST /apps/77/events {...}      a signed request; "plain" sends an unsigned one
//	= 200 {"ok":true}                    its answer, or that of a refused handshake
//	publish prices tick {"p":1}          a signed publish that must be answered with 200
//	stop                                 what SIGTERM does; "exit" waits for the end
//	wait 1s                              for limits that are made of time
//	repeat 5 LINE                        with {{i}} counting from 1
//
// In JSON, text in single quotes is a string that holds JSON: 'x' is sent escaped and
// compared by meaning. {{a}} is the socket id of connection a, {{auth a CHANNEL}} a
// signature for it, {{AUTH a CHANNEL}} the same in capitals, {{fill 9}} nine letters, {{any}} matches any text and {{socket-id}}
// any socket id.
//
// The package starts no goroutine; frames are read when a line asks for them. Nothing is
// ever proved by waiting: "(nothing)" sends a publication after all that was done so far,
// down the same queues, and looks at what arrives before it.
package transcript
