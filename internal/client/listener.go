package client

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/socket"
)

const (
	// pongTimeout is the wait for an answer to a ping.
	pongTimeout = 30 * time.Second
	// establishTimeout is the wait for the first message.
	establishTimeout = 30 * time.Second
)

var (
	_ socket.Handler = (*listener)(nil)

	ping = []byte(`{"event":"pusher:ping","data":{}}`)
	pong = []byte(`{"event":"pusher:pong","data":{}}`)
)

// listener is the session on one connection. Its methods are called one at a time.
type listener struct {
	client   *Client
	channels []string
	member   *Member
	each     func(Message)

	ended chan error // told once, by Closed

	// Owned by the turn.
	activity  time.Duration // zero until established
	isPinged  bool
	refused   error   // why the client itself closes, for good
	lastError closing // the error frame, if that was the last frame: it explains a close
}

// envelope is any frame from the server.
type envelope struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	UserID  userID          `json:"user_id"`
}

// userID is the string form of an id, which an application may also give as a number.
type userID string

// UnmarshalJSON reads a string or a number.
func (u *userID) UnmarshalJSON(text []byte) error {
	var s string
	if len(text) > 0 && text[0] != '"' {
		s = string(text)
	} else if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	*u = userID(s)
	return nil
}

// text is the content of data: what a JSON string holds, or any other value as it is.
func (e *envelope) text() string {
	var s string
	if json.Unmarshal(e.Data, &s) == nil {
		return s
	}
	return string(e.Data)
}

// Message handles one frame.
func (l *listener) Message(c *socket.Conn, _ socket.Opcode, payload []byte) {
	var e envelope
	if json.Unmarshal(payload, &e) != nil {
		return // not for us
	}
	l.lastError = closing{}
	switch e.Event {
	case "pusher:connection_established":
		l.establish(c, &e)
	case "pusher:ping":
		c.Send(pong)
	case "pusher:pong":
	case "pusher:error":
		var data struct {
			Code    int
			Message string
		}
		_ = json.Unmarshal(e.Data, &data) // an error we cannot read is one without a code
		l.lastError = closing{data.Code, data.Message}
		if react(data.Code) != giveUp { // then it is the error of Subscribe
			l.client.o.Log.Warn("error from the server", "code", data.Code, "message", data.Message)
		}
	case "pusher:subscription_error":
		var data struct{ Type, Error string }
		_ = json.Unmarshal(e.Data, &data)
		err := fmt.Errorf("%w: channel %s: %s: %s", ErrRefused, e.Channel, data.Type, data.Error)
		if data.Type == "AuthError" {
			err = &credentialsError{err}
		}
		l.refuse(c, err)
	default:
		l.each(Message{Event: e.Event, Channel: e.Channel, Data: e.text(), UserID: string(e.UserID)})
	}
}

func (l *listener) establish(c *socket.Conn, e *envelope) {
	var data struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}
	if err := json.Unmarshal([]byte(e.text()), &data); err != nil || data.SocketID == "" || data.ActivityTimeout <= 0 {
		l.refuse(c, fmt.Errorf("%w: the server does not speak protocol 7: %s", ErrRefused, e.Data))
		return
	}
	if l.activity != 0 {
		return
	}
	l.activity = time.Duration(data.ActivityTimeout) * time.Second
	for _, name := range l.channels {
		frame, err := l.client.subscribeFrame(data.SocketID, name, l.member)
		if err != nil {
			l.refuse(c, fmt.Errorf("%w: channel %s: %w", ErrRefused, name, err))
			return
		}
		c.Send(frame)
	}
	c.SetTimer(l.activity)
}

// refuse ends the connection and the whole subscription.
func (l *listener) refuse(c *socket.Conn, err error) {
	if l.refused == nil {
		l.refused = err
	}
	c.Close(socket.Disconnect{Code: 1000})
}

// Timeout pings a connection on which nothing came, and ends one that does not answer
// (pusher 1.5).
func (l *listener) Timeout(c *socket.Conn) {
	idle := c.IdleFor()
	switch {
	case l.activity == 0:
		l.lastError = closing{codePongTimeout, "the server did not say that the connection is established"}
		c.Close(socket.Disconnect{Code: 1000})
	case idle < l.activity:
		l.isPinged = false
		c.SetTimer(l.activity - idle)
	case !l.isPinged:
		l.isPinged = true
		c.Send(ping)
		c.SetTimer(pongTimeout)
	default:
		l.lastError = closing{codePongTimeout, "the server did not answer a ping"}
		c.Close(socket.Disconnect{Code: 1000})
	}
}

func (*listener) Drained(*socket.Conn) {}

// Closed reports the end. A server explains a close by an error frame directly before it;
// any other error frame explains nothing.
func (l *listener) Closed(_ *socket.Conn, reason socket.CloseReason) {
	if reason != socket.ReasonPeer && reason != socket.ReasonServer { // the latter is our own Close
		l.lastError = closing{}
	}
	switch {
	case l.refused != nil:
		l.ended <- l.refused
	case l.lastError.code == codeUnknownKey:
		l.ended <- &credentialsError{fmt.Errorf("%w: %s", ErrRefused, l.lastError)}
	case react(l.lastError.code) == giveUp:
		l.ended <- fmt.Errorf("%w: %s", ErrRefused, l.lastError)
	default:
		l.ended <- &endedError{l.lastError}
	}
}
