package pusher

import (
	"errors"
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
	*scope // immutable
	session.Place

	// Owned by the running call of the socket, which makes one call at a time.
	channels     channel.Connection
	extra        *extra // nil until something is counted, or a view is subscribed to
	unauthorized uint32 // clock of the beginning, until authorized; zero: need not be
	pinged       uint32 // clock when the unanswered ping left; zero: there is none
}

// extra is what most connections never need: they only listen to channels.
type extra struct {
	messages, clientEvents limit.Window
	views                  *views            // nil until a view is subscribed to
	signers                map[string]string // keys other than the key of the scope, by what they signed: a channel, or the sign-in
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
	_ session.Cleaner = (*Session)(nil)
	_ channel.Replier = (*Session)(nil)
)

// Message takes one inbound message, whatever it holds.
func (s *Session) Message(_ *socket.Conn, op socket.Opcode, payload []byte) {
	defer s.group.Rescue(s)
	s.group.Received()
	if !s.allowMessage() {
		return
	}
	if op == socket.OpBinary && !s.isBinary && !utf8.Valid(payload) {
		s.replyError("", protocol.ErrMalformed)
		return
	}
	cmd, err := s.codec.Decode(payload)
	if err != nil {
		s.replyError("", err)
		return
	}
	s.dispatch(&cmd)
}

// Timeout serves the deadlines of liveness and of authorization, and the pace of snapshots.
func (s *Session) Timeout(c *socket.Conn) {
	defer s.group.Rescue(s)
	s.paceViews()
	s.checkDeadlines(c)
}

// Drained goes on with what waited for the connection.
func (s *Session) Drained(*socket.Conn) {
	defer s.group.Rescue(s)
	s.resumeViews()
	s.o.Channels.GoOn(s.group.Context(), &s.channels)
}

// Closed frees the quota and the place in the hub at once, so that nothing is written to the
// dead. The rest waits for its turn (pusher 7.8).
func (s *Session) Closed(_ *socket.Conn, reason socket.CloseReason) {
	defer s.group.Rescue(s)
	defer s.group.CleanUp(s)
	s.group.Ended(s.app, reason)
	s.channels.Detach()
	s.noteForced(reason)
	s.unsignAll()
	s.proxied.forget(s)
}

// CleanUp ends every subscription as an unsubscribe does.
func (s *Session) CleanUp() error {
	defer s.group.Remove(&s.Link)
	return errors.Join(s.group.Guard(s, s.leaveViews), s.group.Guard(s, s.leaveChannels))
}

func (s *Session) leaveChannels() error {
	s.o.Channels.Leave(&s.channels)
	return nil
}

// Restart tells the client that the server is going down. A client that comes back at once and
// finds the port closed waits much longer before its next attempt than one that comes back in a
// moment (docs/ops.md), so it is told to come back at once only where the port stays open. What a
// client that was too slow for its views has missed was not sent: it is told that it was too slow.
func (s *Session) Restart() {
	switch {
	case s.channels.IsLagging():
		s.Conn.Close(s.endpoint.SlowConsumer)
	case s.o.HandsOver != nil && s.o.HandsOver():
		s.Conn.Close(s.restart)
	default:
		s.Conn.Close(s.leave)
	}
}

// readmit makes the client come back and ask for everything again.
func (s *Session) readmit() { s.Conn.Close(s.restart) }

// Reply sends m to this connection alone.
func (s *Session) Reply(m *protocol.Message) {
	b := bufpool.Get(m.Size())
	b.B = s.codec.AppendMessage(b.B, m)
	if m.Kind == protocol.MessageViewSnapshot {
		s.spendSnapshot(len(m.View.Rows), len(b.B))
	}
	s.send(s.Conn, b.B)
	b.Release()
}

// ReplyPublication sends p to this connection alone, as any delivery of it looks.
func (s *Session) ReplyPublication(p *protocol.Publication) {
	b := bufpool.Get(p.Size())
	if b.B = s.codec.AppendPublication(b.B, p); len(b.B) > 0 {
		s.send(s.Conn, b.B)
	}
	b.Release()
}

// replyError reports e and leaves the connection open.
func (s *Session) replyError(channel string, e *protocol.Error) {
	s.group.Reported(strconv.Itoa(e.Code))
	s.Reply(&protocol.Message{Kind: protocol.MessageError, Channel: channel, Err: e})
}

// close ends the connection for e.
func (s *Session) close(e *protocol.Error) {
	if s.Conn.Close(s.disconnect(e)) {
		s.group.Forced(s, strconv.Itoa(e.Code), e.Message)
	}
}

// noteForced accounts for a close by the server that was not told of where it was decided: by
// the socket, or with locks held.
func (s *Session) noteForced(reason socket.CloseReason) {
	if s.group.NoteBroken(s, reason) {
		return
	}
	if code := s.Conn.CloseCode(); code == s.endpoint.SlowConsumer.Code {
		s.group.Forced(s, strconv.Itoa(code), s.endpoint.SlowConsumer.Reason)
	}
}
