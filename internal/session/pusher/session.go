package pusher

import (
	"strconv"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
)

// Session is one accepted connection. There is one per idle connection, so it is small and
// owns nothing but itself: what all share is behind its scope, what few need behind rates
// and views, and its deadlines share the connection's one timer.
type Session struct {
	*scope              // immutable
	conn   *socket.Conn // immutable
	link   session.Link

	// Owned by whoever the socket lets run: its calls come one at a time.
	channels     channel.Connection
	extra        *extra // nil until something is counted, or a view is subscribed to
	unauthorized uint32 // clock of the beginning, until authorized; zero: need not be
	pinged       uint32 // clock when the unanswered ping left; zero: there is none
}

// extra is what most connections never need: they only listen to channels.
type extra struct {
	messages, clientEvents limit.Window
	views                  *views // nil until a view is subscribed to
}

func (s *Session) more() *extra {
	if s.extra == nil {
		s.extra = new(extra)
	}
	return s.extra
}

var (
	_ socket.Handler  = (*Session)(nil)
	_ session.Session = (*Session)(nil)
	_ channel.Replier = (*Session)(nil)
)

// Message takes one inbound message, whatever it holds.
func (s *Session) Message(_ *socket.Conn, op socket.Opcode, payload []byte) {
	defer s.rescue()
	s.face.Received()
	if !s.allowMessage() {
		return
	}
	if op == socket.OpBinary && !utf8.Valid(payload) {
		s.replyError("", protocol.ErrMalformed)
		return
	}
	cmd, err := s.o.Codec.Decode(payload)
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

// Drained goes on with what waited for the connection.
func (s *Session) Drained(*socket.Conn) {
	defer s.rescue()
	s.resumeViews()
}

// Closed frees the quota at once, then does what a leave does.
func (s *Session) Closed(_ *socket.Conn, reason socket.CloseReason) {
	s.face.Ended(s.app, reason)
	defer s.face.Remove(&s.link)
	defer s.rescue()
	defer s.o.Channels.Leave(&s.channels) // last, because it takes the connection off the hub
	s.leaveViews()
}

// Restart tells the client that the server is going down.
func (s *Session) Restart() { s.conn.Close(s.restart) }

// Reply sends m to this connection alone.
func (s *Session) Reply(m *protocol.Message) {
	b := bufpool.Get(0)
	b.B = s.o.Codec.AppendMessage(b.B, m)
	s.conn.Send(b.B)
	b.Release()
}

// ReplyPublication sends p to this connection alone, as any delivery of it looks.
func (s *Session) ReplyPublication(p *protocol.Publication) {
	b := bufpool.Get(p.Size())
	b.B = s.o.Codec.AppendPublication(b.B, p)
	s.conn.Send(b.B)
	b.Release()
}

// replyError reports e and leaves the connection open.
func (s *Session) replyError(channel string, e *protocol.Error) {
	s.face.Reported(strconv.Itoa(e.Code))
	s.Reply(&protocol.Message{Kind: protocol.MessageError, Channel: channel, Err: e})
}

// close ends the connection for e.
func (s *Session) close(e *protocol.Error) { s.conn.Close(s.farewell(e)) }

// rescue is deferred at the edge of a connection: a panic costs this connection, not the
// server.
func (s *Session) rescue() {
	if e := recover(); e != nil {
		s.face.Panicked(s.conn, s.app.ID, s.channels.ID(), e)
	}
}
