package session

import (
	"runtime/debug"
	"strconv"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
)

// Session is one accepted connection. There is one per idle connection, so it is small and
// owns nothing but itself: what all share is behind sessions, and its deadlines share the
// connection's one timer.
type Session struct {
	sessions *Sessions    // immutable
	conn     *socket.Conn // immutable
	app      *app.App     // immutable

	prev, next *Session // guarded by sessions.mu

	// Owned by whoever the socket lets run: its calls come one at a time.
	channels   channel.Connection
	rates      *rates // nil until something is counted
	opened     uint32 // clock
	pinged     uint32 // clock when the unanswered ping left; meaningful while pinging
	pinging    bool
	authorized bool // has once subscribed to a channel that needs a signature
}

// rates counts what a connection says. Most connections only listen.
type rates struct{ messages, clientEvents limit.Window }

func (s *Session) counted() *rates {
	if s.rates == nil {
		s.rates = new(rates)
	}
	return s.rates
}

var (
	_ socket.Handler  = (*Session)(nil)
	_ channel.Replier = (*Session)(nil)
)

// Message takes one inbound message, whatever it holds.
func (s *Session) Message(_ *socket.Conn, op socket.Opcode, payload []byte) {
	defer s.rescue()
	ss := s.sessions
	ss.o.Metrics.messages.Inc()
	if !s.allowMessage() {
		return
	}
	if op == socket.OpBinary && !utf8.Valid(payload) {
		s.replyError("", protocol.ErrMalformed)
		return
	}
	cmd, err := ss.o.Codec.Decode(payload)
	if err != nil {
		s.replyError("", err)
		return
	}
	s.dispatch(&cmd)
}

// Timeout serves the deadlines of liveness and of authorization.
func (s *Session) Timeout(c *socket.Conn) {
	defer s.rescue()
	s.checkDeadlines(c)
}

func (*Session) Drained(*socket.Conn) {}

// Closed frees the quota at once, then does what a leave does.
func (s *Session) Closed(_ *socket.Conn, reason socket.CloseReason) {
	ss := s.sessions
	ss.dismiss(ss.quotaOf(s.app.ID))
	defer ss.remove(s)
	defer s.rescue()
	ss.o.Metrics.connections.Dec()
	ss.o.Metrics.closed.WithLabelValues(string(reason)).Inc()
	ss.o.Channels.Leave(&s.channels)
}

// Reply sends m to this connection alone.
func (s *Session) Reply(m *protocol.Message) {
	b := bufpool.Get(0)
	b.B = s.sessions.o.Codec.AppendMessage(b.B, m)
	s.conn.Send(b.B)
	b.Release()
}

// ReplyPublication sends p to this connection alone, as any delivery of it looks.
func (s *Session) ReplyPublication(p *protocol.Publication) {
	b := bufpool.Get(p.Size())
	b.B = s.sessions.o.Codec.AppendPublication(b.B, p)
	s.conn.Send(b.B)
	b.Release()
}

// replyError reports e and leaves the connection open.
func (s *Session) replyError(channel string, e *protocol.Error) {
	s.sessions.o.Metrics.errors.WithLabelValues(strconv.Itoa(e.Code)).Inc()
	s.Reply(&protocol.Message{Kind: protocol.MessageError, Channel: channel, Err: e})
}

// close ends the connection for e.
func (s *Session) close(e *protocol.Error) { s.conn.Close(s.sessions.farewell(e)) }

// closeBroken is the close code after a panic. It says no more than that the server failed
// (RFC 6455 7.4.1), and clients retry after it.
const closeBroken = 1011

// rescue is deferred at the edge of a connection: a panic costs this connection, not the
// server.
func (s *Session) rescue() {
	e := recover()
	if e == nil {
		return
	}
	s.sessions.o.Metrics.panics.Inc()
	s.sessions.o.Log.Error("panic on a connection", "app", s.app.ID, "socket_id", s.channels.ID().String(),
		"panic", e, "stack", string(debug.Stack()))
	s.conn.Close(socket.Farewell{Code: closeBroken, Reason: "internal error"})
}
