// Package socket is the connection engine: WebSocket connections (RFC 6455) that cost
// nothing while they are idle and one system call per write.
//
// It owns sockets, framing, write queues, the closing handshake and timers. It must never
// know an app, a channel or a wire dialect: whole messages go up to a [Handler], bytes come
// down.
//
// A plain TCP or unix connection on Linux leaves net/http after the upgrade: its descriptor
// moves to an epoll poller and everything that net/http held is dropped. TLS connections
// and other systems run the same [Conn] over a goroutine that blocks in a one-byte read and
// borrows a buffer when there is something to read. The rest of the server cannot tell
// which.
//
// # Goroutines
//
// Engine.Run owns them all: the pollers, the reapers that see to the ends of connections one
// after the other, the ticker of the timer wheels, and the workers that connections borrow for
// a turn. A turn is the right to call a connection's handler
// and to touch its read state; at most one goroutine has it, so messages of one connection
// never overtake each other, and a handler that blocks delays its own connection only.
//
// # Order and loss
//
// Every connection has one queue: messages are written in the order of Send, replies and
// broadcasts alike. A write never blocks. While the queue is congested nothing is read, so
// that a peer that does not take its replies cannot ask for more. When the queue is full the
// peer is a slow consumer: by the [Endpoint]'s choice it is disconnected, or broadcasts are
// dropped for it. So is a congested peer that takes nothing for 30 s. A writer that would
// rather wait asks [Conn.IsCongested] before it writes and goes on at Drained of the [Handler].
package socket
