// Package http1 serves HTTP/1.1 over plain connections: the requests that clients of an API
// and browsers make all day by a short loop of its own, and everything else by net/http.
//
// A connection begins here. As long as its requests are usual (head.go says which are) they
// are read, answered and forgotten without the goroutine, the timers and the copies of
// headers that net/http spends on each. With the first one that is not, nothing of it having
// been used, the connection goes to net/http with all its bytes, and stays there. So what is
// rare, odd or forged is judged in one place, which is not this one, and a handler cannot
// tell who called it, but for this: a request, its header and its body are valid until the
// handler returns (strings of them for good, but each keeps the whole head alive: clone what
// stays), and an answer leaves when the handler returns: one that streams or waits is left to
// net/http by HandOver. The context ends with the handler, with
// the client and with the server, as in net/http: for a client that leaves it takes 20 ms more,
// and a goroutine only while a handler waits so long.
//
// A request that says twice how long its body is ends its connection, over TLS, too.
//
// The package must never know what a path means.
//
// Goroutines: Serve owns one per connection, and one in which net/http's Serve runs, and joins them.
// The goroutine of a connection joins the one that watches its client (context.go).
package http1
