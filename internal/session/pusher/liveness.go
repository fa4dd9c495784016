package pusher

import (
	"time"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
)

// timerSlack is how much too early a timer may be taken for its deadline.
const timerSlack = 10 * time.Millisecond

// firstDeadline is the timer of a connection that has just been opened.
func (s *Session) firstDeadline() time.Duration {
	d := s.silence
	if left, waiting := s.authorizationLeft(); waiting {
		d = min(d, left)
	}
	return d
}

// authorizationLeft is the time until an unauthorized connection is closed; false for those
// that need no authorization or have it (pusher 4.2).
func (s *Session) authorizationLeft() (time.Duration, bool) {
	if s.unauthorized == 0 {
		return 0, false
	}
	return s.app.AuthorizeWithin() - s.group.Since(s.unauthorized), true
}

// checkDeadlines acts on whatever deadline has come, and sets the timer to the next.
func (s *Session) checkDeadlines(c *socket.Conn) {
	left, waiting := s.authorizationLeft()
	if waiting && left <= timerSlack {
		s.close(protocol.ErrAuthTimeout)
		return
	}
	step, next := s.liveness()
	switch step {
	case stepDead:
		s.close(protocol.ErrPongTimeout)
		return
	case stepPing:
		s.pinged = s.group.Clock()
		s.askForLife(c)
	case stepAlive:
		s.pinged = 0
	case stepWait:
	}
	if waiting {
		next = min(next, left)
	}
	if wait := s.paceLeft(); wait > 0 {
		next = min(next, wait)
	}
	c.SetTimer(next)
}

// nextDeadline is how long s may go on if nothing happens, above zero.
func (s *Session) nextDeadline() time.Duration {
	step, next := s.liveness()
	if step == stepPing || step == stepDead {
		next = 0
	}
	if left, waiting := s.authorizationLeft(); waiting {
		next = min(next, left)
	}
	return max(next, 1)
}

func (s *Session) liveness() (step, time.Duration) {
	isPinged, sincePing := s.pinged != 0, time.Duration(0)
	if isPinged {
		sincePing = s.group.Since(s.pinged)
	}
	return liveness(s.Conn.IdleFor(), isPinged, sincePing, s.silence, s.o.PongTimeout)
}

// step is what liveness asks for.
type step uint8

const (
	stepWait  step = iota // for the answer to the ping
	stepAlive             // no ping is unanswered
	stepPing
	stepDead
)

// liveness is the rule of pusher 1.5: after activity without anything received,
// ping; after pong more, dead. Anything received since the ping ends the suspicion. It
// returns the time until the rule must be asked again.
//
// When the ping left, the connection had been idle for activity. If nothing came since, it
// now is idle for activity longer than the ping is old; if something came, it is idle for
// at most the ping's age. The middle between the two decides, so that coarse clocks do no
// harm.
func liveness(idle time.Duration, pinging bool, sincePing, activity, pong time.Duration) (step, time.Duration) {
	if pinging && idle > sincePing+activity/2 {
		if sincePing >= pong-timerSlack {
			return stepDead, 0
		}
		return stepWait, pong - sincePing
	}
	if idle >= activity-timerSlack {
		return stepPing, pong
	}
	return stepAlive, activity - idle
}
