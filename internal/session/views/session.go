package views

import (
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// Session is one accepted connection. An idle one owns nothing but itself; its deadlines
// share the connection's one timer.
type Session struct {
	*Sessions                     // immutable
	app       *app.App            // immutable
	auth      token.Authenticator // immutable
	session.Place

	origin, clientIP string // of the handshake; immutable

	subscriber hub.Subscriber
	out        outlet

	// Owned by the running call of the socket, which makes one call at a time.
	places               limit.Reservation[string]
	views                session.Watching
	budget               limit.Window // of messages
	messages, subscribes limit.Sliding
}

var (
	_ socket.Handler  = (*Session)(nil)
	_ session.Session = (*Session)(nil)
	_ session.Cleaner = (*Session)(nil)
	_ view.Replier    = (*Session)(nil)
)

func (s *Session) grant() *grant { return s.out.grant.Load() }

// Message takes one inbound message, whatever it holds. A binary one only shows that the client is
// alive (views 3).
func (s *Session) Message(_ *socket.Conn, op socket.Opcode, payload []byte) {
	defer s.group.Rescue(s)
	if op != socket.OpText {
		return
	}
	s.group.Received()
	now := s.group.Now()
	if s.grant().hasExpired(now) {
		s.expire()
		return
	}
	if !s.allowMessage(now) {
		return
	}
	cmd, err := s.o.Codec.Decode(payload)
	if err != nil {
		return // clients have no code for it
	}
	s.dispatch(&cmd, now)
}

// Timeout serves the deadlines of silence, of the token and of metering.
func (s *Session) Timeout(c *socket.Conn) {
	defer s.group.Rescue(s)
	now := s.group.Now()
	switch {
	case s.grant().hasExpired(now):
		s.expire()
	case c.IdleFor() >= s.o.IdleTimeout:
		s.end(s.idle, views.CodeOf(s.idle.Reason))
	default:
		s.views.Resume(s.o.Views, now)
		s.out.flush(&s.views.Connection)
		s.setTimer(now)
	}
}

// Drained goes on with what waited for the connection.
func (s *Session) Drained(*socket.Conn) {
	defer s.group.Rescue(s)
	s.o.Views.Resume(&s.views.Connection)
}

// Closed frees every place at once, that in the hub too, so that nothing is written to the
// dead. The rest waits for its turn (pusher 7.8).
func (s *Session) Closed(_ *socket.Conn, reason socket.CloseReason) {
	defer s.group.Rescue(s)
	defer s.group.CleanUp(s)
	s.places.Release()
	s.group.Ended(s.app, reason)
	s.subscriber.Detach()
	s.noteForced(reason)
}

// CleanUp ends every subscription as an unsubscribe does, and tells the meter.
func (s *Session) CleanUp() error {
	defer s.group.Remove(&s.Link)
	return s.group.Guard(s, func() error {
		active := s.out.ending(&s.views.Connection)
		s.o.Views.Leave(&s.views.Connection)
		s.out.ended(&s.views.Connection, active)
		return nil
	})
}

// Restart tells the client that the server is going down.
func (s *Session) Restart() { s.Conn.Close(s.restart) }

// setTimer arms the timer for whatever comes first if nothing happens.
func (s *Session) setTimer(now time.Time) {
	next := s.deadline(now)
	if wait := s.views.Left(now); wait > 0 {
		next = min(next, wait)
	}
	s.out.setTimer(next)
}

// deadline is how long the session may go on if nothing happens.
func (s *Session) deadline(now time.Time) time.Duration {
	next := max(s.o.IdleTimeout-s.Conn.IdleFor(), 1)
	if e := s.grant().principal.Expires; !e.IsZero() {
		next = max(min(next, e.Sub(now)), 1)
	}
	return next
}

// expire ends a session whose token is over (views 1.8).
func (s *Session) expire() {
	s.group.Reported(protocol.IssueTokenExpired.Code)
	s.end(s.expired, protocol.IssueTokenExpired.Code)
}

// checkRevoked ends a session whose token was revoked while it was being verified, before
// Revoked could find it.
func (s *Session) checkRevoked() {
	if p := s.grant().principal; p.ID != "" && s.o.IsRevoked(s.app.ID, p.ID) {
		s.end(s.revoked, protocol.IssueTokenExpired.Code)
	}
}

// Reply sends m to this connection alone.
func (s *Session) Reply(m *protocol.Message) {
	b := bufpool.Get(m.Size())
	b.B = s.o.Codec.AppendMessage(b.B, m)
	switch {
	case !s.o.Codec.IsBinary(m.Kind):
		s.Conn.Send(b.B) // control is free
	case s.out.send(b.B):
		if m.Kind == protocol.MessageViewSnapshot {
			s.views.Spend(s.group.Now(), s.o.Limits.Snapshots.Takes(len(m.View.Rows), len(b.B)))
		}
		s.out.replied(m, len(b.B))
	}
	b.Release()
}

// ReplyPublication sends p to this connection alone, as any delivery of it looks.
func (s *Session) ReplyPublication(p *protocol.Publication) {
	b := bufpool.Get(p.Size())
	b.B = s.o.Codec.AppendPublication(b.B, p)
	if len(b.B) > 0 && s.out.send(b.B) {
		s.out.caughtUp(p, len(b.B))
	}
	b.Release()
}

// IsCongested reports whether no more of a snapshot should be sent now: so much waits, or so
// much was sent of snapshots that the next must wait for the timer.
func (s *Session) IsCongested() bool {
	if s.Conn.IsCongested(0) {
		return true
	}
	now := s.group.Now()
	wait := s.views.Pause(now)
	if wait > 0 {
		s.out.setTimer(min(wait, s.deadline(now)))
	}
	return wait > 0
}

// CloseSlow ends a connection that reads too slowly to be brought up to date.
func (s *Session) CloseSlow() { s.Conn.Close(s.endpoint.SlowConsumer) }

// issue reports i and leaves the connection open.
func (s *Session) issue(i *protocol.Issue) {
	s.group.Reported(i.Code)
	s.Reply(&protocol.Message{Kind: protocol.MessageIssue, Issue: i})
}

// end closes the connection, and says so to operators under a code of a bounded set.
func (s *Session) end(f socket.Disconnect, code string) {
	if s.Conn.Close(f) {
		s.group.Forced(s, code, f.Reason)
	}
}

// noteForced accounts for a close by the server that was not told of where it was decided: by
// the socket, or with locks held.
func (s *Session) noteForced(reason socket.CloseReason) {
	if s.group.NoteBroken(s, reason) {
		return
	}
	switch code := s.Conn.CloseCode(); {
	case code == closeTryAgain && s.out.hasSpent():
		s.group.Forced(s, protocol.IssueEgressLimit.Code, views.CloseThrottled)
	case code == closeTryAgain:
		s.group.Forced(s, views.CodeOf(views.CloseSlowConsumer), views.CloseSlowConsumer)
	}
}
