package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/socket"
)

// Names of a storm. A member's user is its index in the crowd.
const (
	stormPresence = "presence-storm-"
	stormPublic   = "storm-"
	stormUser     = "member-"
)

// joiner is a connection that subscribes to one channel, as a member if it has a user. It signs
// in first as whom it is to.
type joiner struct {
	key, secret   string
	channel, user string
	signIn        string
	ready         chan<- error // told once: subscribed, or why not
	told          func(removed string)
}

var (
	_ socket.Handler = (*joiner)(nil)

	removedMark = []byte(`member_removed`)
)

// Message subscribes, and passes on who is removed from the channel.
func (j *joiner) Message(c *socket.Conn, _ socket.Opcode, payload []byte) {
	if j.told != nil && bytes.Contains(payload, removedMark) {
		j.told(gjson.Get(gjson.GetBytes(payload, "data").String(), "user_id").Str)
		return
	}
	switch name := gjson.GetBytes(payload, "event").Str; name {
	case "pusher:connection_established":
		socketID := gjson.Get(gjson.GetBytes(payload, "data").String(), "socket_id").Str
		if j.signIn != "" {
			c.Send(signIn(j.key, j.secret, socketID, `{"id":"`+j.signIn+`"}`))
		}
		j.subscribe(c, socketID)
	case "pusher_internal:subscription_succeeded":
		j.tell(nil)
	case "pusher:ping":
		c.Send(pong)
	case "pusher:error", "pusher:subscription_error":
		j.tell(fmt.Errorf("%s %s", name, gjson.GetBytes(payload, "data").String()))
	}
}

func (j *joiner) subscribe(c *socket.Conn, socketID string) {
	b := append([]byte(`{"event":"pusher:subscribe","data":{"channel":`), strconv.Quote(j.channel)...)
	if j.user != "" {
		data := `{"user_id":"` + j.user + `"}`
		b = append(b, `,"channel_data":`+strconv.Quote(data)+`,"auth":"`+j.key+`:`+
			auth.ChannelSignature(j.secret, socketID, j.channel, data)+`"`...)
	}
	c.Send(append(b, `}}`...))
}

func (j *joiner) tell(err error) {
	if j.ready != nil {
		j.ready <- err
		j.ready = nil
	}
}

// Timeout is never called: no timer is set.
func (*joiner) Timeout(*socket.Conn) {}

// Drained is of no interest.
func (*joiner) Drained(*socket.Conn) {}

// Closed fails a connection that was not subscribed yet.
func (j *joiner) Closed(_ *socket.Conn, reason socket.CloseReason) {
	j.tell(fmt.Errorf("connection ended before it was subscribed: %s", reason))
}

// join opens one connection and waits until it is subscribed.
func (j *joiner) join(ctx context.Context, e *socket.Engine, url string, ep *socket.Endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	ready := make(chan error, 1)
	j.ready = ready
	conn, err := e.Dial(ctx, url, ep, nil)
	if err != nil {
		return err
	}
	conn.Start(j)
	select {
	case err = <-ready:
		return err
	case <-ctx.Done():
		return errTimeout
	}
}

// testimony is what witnesses were told.
type testimony struct {
	removed, doubled, stray int
	last                    int64 // when the last one was told, by the run's clock
}

// witnesses are connections that stay, one in each presence channel of a storm.
type witnesses struct {
	clock clock
	stop  func() // joins the engine

	mu       sync.Mutex
	from     int64  // zero: nobody should be removed yet; guarded by mu, as all below
	seen     []bool // by member
	evidence testimony
}

func startWitnesses(ctx context.Context, s *session, so StormOptions) (*witnesses, error) {
	w := &witnesses{clock: s.swarm.clock, seen: make([]bool, so.Members)}
	engine, err := socket.New(socket.Options{Pollers: 1, Inline: true})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = engine.Run(running) }) // ends with stop
	w.stop = func() {
		cancel()
		wg.Wait()
	}
	ep := stormEndpoint(so)
	for i := range so.presenceChannels() {
		j := &joiner{
			key: s.o.Key, secret: s.o.Secret, channel: stormPresence + strconv.Itoa(i), user: "witness",
			told: func(user string) { w.removed(i, so.PerChannel, user) },
		}
		if err := j.join(ctx, engine, s.o.socketURL(), ep); err != nil {
			w.stop()
			return nil, fmt.Errorf("storm: witness: %w", err)
		}
	}
	return w, nil
}

func stormEndpoint(so StormOptions) *socket.Endpoint {
	return &socket.Endpoint{MaxMessage: 1 << 20, MaxQueueFrames: 2*so.PerChannel + 16}
}

// expect says that members are cut from now on.
func (w *witnesses) expect(at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from = at
}

// removed takes note of a user who was removed from a channel.
func (w *witnesses) removed(channel, perChannel int, user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, isMember := strings.CutPrefix(user, stormUser)
	n, err := strconv.Atoi(number)
	switch {
	case !isMember || err != nil || n < 0 || n >= len(w.seen) || n/perChannel != channel || w.from == 0:
		w.evidence.stray++
	case w.seen[n]:
		w.evidence.doubled++
	default:
		w.seen[n] = true
		w.evidence.removed++
		w.evidence.last = w.clock.now()
	}
}

func (w *witnesses) told() testimony {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.evidence
}
