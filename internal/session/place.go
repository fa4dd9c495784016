package session

import (
	"runtime/debug"
	"strconv"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
)

// Place is the part of a session that both protocols share: the connection that carries it, and its link
// among the open sessions. A session embeds it by value. What else the protocols share takes the session
// as a [Peer], so that an idle session keeps nothing twice: see Begin, Rescue, Guard and NoteBroken of Group.
type Place struct {
	Conn *socket.Conn // immutable
	Link Link
}

// Connection returns what carries the session.
func (p *Place) Connection() *socket.Conn { return p.Conn }

// Begin attaches a session to the hub under a new socket id, which it returns. The session is listed by
// Add.
func (f *Group) Begin(h *hub.Hub, s *hub.Subscriber, c hub.Conn, v protocol.Variant) protocol.SocketID {
	id := protocol.NewSocketID()
	for !h.Attach(s, c, id, v) {
		id = protocol.NewSocketID()
	}
	return id
}

// Rescue is deferred at the edge of a connection. A panic costs this connection, not the server.
func (f *Group) Rescue(p Peer) {
	if e := recover(); e != nil {
		f.panicked(p, e)
	}
}

// Guard carries out a part of the effects of an ended connection. If the part panics, Guard returns
// ErrPanicked, so that the other parts happen all the same.
func (f *Group) Guard(p Peer, part func() error) (err error) {
	defer func() {
		if e := recover(); e != nil {
			f.panicked(p, e)
			err = ErrPanicked
		}
	}()
	return part()
}

// closeBroken is the close code after a panic. It says no more than that the server failed
// (RFC 6455 7.4.1), and clients retry after it.
const closeBroken = 1011

func (f *Group) panicked(p Peer, what any) {
	f.o.Metrics.panics.Inc()
	f.o.Log.Error("panic on a connection", "protocol", string(f.name), "app", p.AppID(), "socket_id", p.SocketID().String(),
		"panic", what, "stack", string(debug.Stack()))
	p.Connection().Close(socket.Disconnect{Code: closeBroken, Reason: "internal error"})
}

// NoteBroken accounts for a connection that the socket has closed because its client broke the protocol
// of WebSocket or sent too much. It reports whether that is why the connection was closed.
func (f *Group) NoteBroken(p Peer, reason socket.CloseReason) bool {
	code := p.Connection().CloseCode()
	if reason != socket.ReasonProtocol || code == 0 {
		return false
	}
	f.Forced(p, strconv.Itoa(code), "The client broke the protocol or sent too much")
	return true
}

// Dismissed is the handler of a connection that is told why it is closed and never becomes a session.
type Dismissed struct{}

var _ socket.Handler = Dismissed{}

// Message ignores what the client sends.
func (Dismissed) Message(*socket.Conn, socket.Opcode, []byte) {}

// Timeout is never asked for.
func (Dismissed) Timeout(*socket.Conn) {}

// Drained has nothing more to send.
func (Dismissed) Drained(*socket.Conn) {}

// Closed has nothing to give back.
func (Dismissed) Closed(*socket.Conn, socket.CloseReason) {}
