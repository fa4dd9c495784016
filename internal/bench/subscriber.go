package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/socket"
)

var (
	// errTimeout is an opening that took too long.
	errTimeout = errors.New("not subscribed in time")

	_ socket.Handler = (*subscriber)(nil)

	eventMark = []byte(`"` + event + `"`)
	pong      = []byte(`{"event":"pusher:pong","data":{}}`)
)

// subscriber is one connection and the books of its subscriptions. The goroutine that has
// the connection's turn calls its methods.
type subscriber struct {
	swarm  *swarm
	reader *reader
	first  uint32 // index of its first channel; the others follow, around the end

	name int // of the connection, and of its user

	books []ledger // by subscription; guarded by reader.mu

	// Owned by the turn.
	pending int          // subscriptions, and the sign-in, that are not confirmed
	ready   chan<- error // told once: subscribed to all, or why not; then nil
	isLive  bool         // it was told that all went well

	isToldToReturn bool         // the server has told that it ends; while swarm.isEnding
	initial        SnapshotSize // with views
}

// newSubscriber makes the handler of connection i.
func newSubscriber(s *swarm, i int, ready chan<- error) *subscriber {
	n := s.o.Subscriptions
	pending := n
	if s.o.SignIn {
		pending++
	}
	sub := &subscriber{
		swarm: s, reader: s.readers[i%len(s.readers)], first: uint32(i % s.o.Channels),
		books: make([]ledger, n), name: i, pending: pending, ready: ready,
	}
	next := make([]uint32, n*s.o.Publishers)
	for k := range sub.books {
		sub.books[k].next = next[k*s.o.Publishers : (k+1)*s.o.Publishers]
	}
	return sub
}

// channel is the index of the k-th channel it subscribes to.
func (s *subscriber) channel(k int) uint32 {
	return (s.first + uint32(k)) % uint32(s.swarm.o.Channels)
}

// book is the ledger of a channel, nil if it is not subscribed to.
func (s *subscriber) book(channel uint32) *ledger {
	k := channel - s.first
	if channel < s.first {
		k += uint32(s.swarm.o.Channels)
	}
	if k >= uint32(len(s.books)) {
		return nil
	}
	return &s.books[k]
}

// Message takes a delivery into the books, or answers anything else.
func (s *subscriber) Message(c *socket.Conn, _ socket.Opcode, payload []byte) {
	if s.reader.deliver(s, payload) {
		return
	}
	if s.swarm.o.Views {
		s.viewMessage(payload)
		return
	}
	if bytes.Contains(payload, eventMark) {
		s.reader.countMalformed()
		return
	}
	switch name := gjson.GetBytes(payload, "event").Str; name {
	case "pusher:connection_established":
		data := gjson.GetBytes(payload, "data").String()
		socketID := gjson.Get(data, "socket_id").Str
		if s.swarm.o.SignIn {
			s.signIn(c, socketID)
		}
		s.subscribe(c, socketID)
	case "pusher_internal:subscription_succeeded", "pusher:signin_success":
		s.confirm()
	case "pusher:ping":
		c.Send(pong)
	case "pusher:error", "pusher:subscription_error":
		if s.swarm.isEnding.Load() {
			s.isToldToReturn = s.isToldToReturn || isServerEnd(payload)
			return
		}
		s.fail(fmt.Errorf("%s %s", name, gjson.GetBytes(payload, "data").String()))
	}
}

func (s *subscriber) subscribe(c *socket.Conn, socketID string) {
	var buf [256]byte
	for k := range s.books {
		name := s.swarm.channels[s.channel(k)]
		b := append(buf[:0], `{"event":"pusher:subscribe","data":{"auth":"`...)
		if isSigned(name) {
			b = append(b, s.swarm.o.Key...)
			b = append(b, ':')
			b = append(b, auth.ChannelSignature(s.swarm.o.Secret, socketID, name, "")...)
		}
		b = append(b, `","channel":`...)
		b = strconv.AppendQuote(b, name)
		c.Send(append(b, `}}`...))
	}
}

// signIn signs in as the user of the connection.
func (s *subscriber) signIn(c *socket.Conn, socketID string) {
	user := fmt.Sprintf(`{"id":"user-%d","user_info":{"name":"user %[1]d"}}`, s.name)
	c.Send(SignIn(s.swarm.o.Key, s.swarm.o.Secret, socketID, user))
}

// SignIn is the message by which a connection signs in as a user, given as JSON.
func SignIn(key, secret, socketID, user string) []byte {
	return fmt.Appendf(nil, `{"event":"pusher:signin","data":{"user_data":%q,"auth":"%s:%s"}}`,
		user, key, auth.UserSignature(secret, socketID, user))
}

func isSigned(channel string) bool {
	return len(channel) > 8 && channel[:8] == "private-"
}

func (s *subscriber) fail(err error) {
	s.swarm.complaints.add(err)
	s.tell(err)
}

// confirm counts one subscription or sign-in that stands.
func (s *subscriber) confirm() {
	if s.pending--; s.pending == 0 {
		s.tell(nil)
	}
}

// tell ends the opening of the connection, once.
func (s *subscriber) tell(err error) {
	if s.ready != nil {
		s.ready <- err
		s.ready = nil
		if s.isLive = err == nil; s.isLive {
			s.swarm.live.Add(1)
		}
	}
}

// Timeout is never called: no timer is set.
func (s *subscriber) Timeout(*socket.Conn) {}
func (*subscriber) Drained(*socket.Conn)   {}

// Closed counts the connection out.
func (s *subscriber) Closed(_ *socket.Conn, reason socket.CloseReason) {
	s.tell(fmt.Errorf("connection ended before it was subscribed: %s", reason))
	if !s.isLive {
		return
	}
	s.swarm.live.Add(-1)
	if !s.swarm.isClosing.Load() && !s.swarm.isEnding.Load() {
		s.swarm.dropped.Add(1)
		s.swarm.complaints.add(fmt.Errorf("connection ended: %s", reason))
	}
}

// audit adds one connection's books to the account. Only complete subscriptions can be
// compared in their order.
func (s *subscriber) audit(sent [][]uint32, orders []map[uint64]uint64, d *Delivery) {
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	for k := range s.books {
		book, c := &s.books[k], s.channel(k)
		lost := book.missed(sent[c])
		if d.Lost += lost; lost > 0 || book.trouble != nil {
			d.Affected++
			continue
		}
		if orders[c] == nil {
			orders[c] = make(map[uint64]uint64)
		}
		orders[c][book.chain]++
	}
}
