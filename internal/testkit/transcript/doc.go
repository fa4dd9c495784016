// Package transcript runs conversations with a server that are written as text: what is
// sent, what must come back, and what must not. Each case is named after the conformance
// case it shows, runs against a node of its own over real sockets, and can be replayed by
// hand or by a client library. What stands before the first case of a file begins each.
//
//	case H01: the first frame is the greeting
//	config apps.0.max_connections = 2    a setting, before anything else
//	conn a                               connect; the greeting is read
//	v2 a [&echo_messages=false]          the same by protocol V2; the case runs once in each format
//	dial b /app/none?protocol=7          connect; nothing is read. "+ WHAT" sends at once
//	> a subscribe prices                 send: a shorthand or the JSON of a frame
//	> a subscribe prices for tick,trade  ... to these events alone
//	> a signin {"id":"u-9"}              sign in as this user, signed
//	< a signedin {"id":"u-9"}            ... and the success, with exactly this text
//	< a watchlist online u-3             who of the watchlist is there; "offline u-7" may follow
//	< a succeeded prices                 receive: the next frame must be this
//	< a kept prices 7 tick 1             an event of a channel that is kept, with its serial
//	< a 2s..3s ping                      ... and come that long after a last spoke
//	< a wsping                           a ping frame of WebSocket
//	< a (nothing)                        all that was caused has arrived, and it was nothing
//	< a close 4001 [REASON]              the close frame; "< a lost" is the end without one
//	<~ a event prices tick 1             receive in any order
//	close a / cut a                      close with and without a closing handshake
//	http POST /apps/77/events {...}      a signed request; "plain" sends an unsigned one
//	= 200 {}                             its answer, or the answer to a refused handshake
//	= 200 ~ {"n":1}                      ... of which only these members are looked at
//	keep s items.0.stream_id             {{s}} is from now on what the last answer has there
//	= header X-Error-Code: token-missing a header of it; "= no header NAME" for none
//	publish prices tick {"p":1}          a signed publish that must be answered with 200
//	header NAME: VALUE                   of the next connection or plain request
//	sign GET\n/apps/77/channels\nauth_k  what a library signs; {{signature}} is the signature
//	raw GET /apps/77/channels?auth HTTP/1.1  a request byte by byte ...
//	| Host: millrace                     ... which goes on like this; "|" alone ends its head
//	stop                                 what SIGTERM does; "exit" waits for the end
//	restart                              stop, then a node on the same store
//	wait 1s                              for limits that are made of time
//	repeat 5 LINE                        with {{i}} counting from 1; what is sent, in one write
//
// Of live views:
//
//	views a [?hs_token={{t}}]            connect to the views of the app; nothing is read
//	> a sub Auction/top {"take":2}       subscribe, with more members; also unsub
//	> a refresh {{t}}                    refresh_auth
//	< a B {"op":"subscribed",...}        a binary message in full; Z: a compressed one; T: text
//	< a subscribed Auction/top           the same without what follows from it
//	< a snapshot Auction/top b {} a {}   a whole snapshot, or its last frame; "part" is another
//	< a snapshot Auction/list of 50      ... with so many rows
//	< a changes Auction/list b {}        as snapshot, of what has changed since a cursor; what
//	                                     is gone is left out
//	< a patch Auction/list a {} append=l one change; also upsert and delete
//	< a issue internal-error [fatal]     a socket issue
//	mutate a {"n":1} append=l as=s       patch an Auction; {{s}} is the cursor, {{slot s}} its slot
//	mutate a delete                      the same with another op
//	define {"id":"Auction/top",...}      define a derived view
//	token t {"exp":"+2s","jti":null}     a session token with these claims instead of valid
//	                                     ones, {{t}}, and its exp, {{exp t}}. It is signed by
//	                                     K1, whose seed is 32 bytes of 1; "by=K2": of 2.
//	                                     "header=JSON" replaces its header
//
// Shorthands leave _seq out, unless it is written, and message_id of protocol V2. In JSON, text in single quotes is a
// string that holds JSON: 'x' is sent escaped and compared by meaning. {{a}} is the socket
// id of connection a, {{auth a CHANNEL}} a signature for it, {{AUTH a CHANNEL}} the same in
// capitals, {{auth-by KEY SECRET a CHANNEL}} one by another key and {{user-auth-by KEY SECRET a
// USER_DATA}} one for a sign-in, {{now}} the time in seconds, {{answer items.0.serial}} a text or number of the last answer, {{dir}} a directory of the case,
// {{fill 9}} nine letters, {{format}} is the format of protocol V2, {{any}} matches some text, {{any-number}} any above zero and
// {{socket-id}} any socket id.
//
// The package starts no goroutine; frames are read when a line asks for them. Nothing is
// ever proved by waiting: "(nothing)" sends a publication after all that was done so far,
// down the same queues, and looks at what arrives before it.
package transcript
