package storm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/socket"
)

// Names of a storm. A member's user is its index in the crowd.
const (
	presencePrefix = "presence-storm-"
	publicPrefix   = "storm-"
	userPrefix     = "member-"
)

// joinTimeout bounds the time from the dial of a connection to its subscription.
const joinTimeout = 15 * time.Second

// errTimeout is a connection that was not subscribed within joinTimeout.
var errTimeout = errors.New("not subscribed in time")

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
	pong        = []byte(`{"event":"pusher:pong","data":{}}`)
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
			c.Send(bench.SignIn(j.key, j.secret, socketID, `{"id":"`+j.signIn+`"}`))
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
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
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
	last                    time.Time // when the last one was told
}

// witnesses are connections that stay, one in each presence channel of a storm.
type witnesses struct {
	stop func() // joins the engine

	mu       sync.Mutex
	isCut    bool   // else no member should be removed yet; guarded by mu, as all below
	seen     []bool // by member
	evidence testimony
}

func startWitnesses(ctx context.Context, o *bench.Options, so Options) (*witnesses, error) {
	w := &witnesses{seen: make([]bool, so.Members)}
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
	ep := endpoint(so)
	for i := range so.presenceChannels() {
		j := &joiner{
			key: o.Key, secret: o.Secret, channel: presencePrefix + strconv.Itoa(i), user: "witness",
			told: func(user string) { w.removed(i, so.PerChannel, user) },
		}
		if err := j.join(ctx, engine, o.SocketURL(), ep); err != nil {
			w.stop()
			return nil, fmt.Errorf("storm: witness: %w", err)
		}
	}
	return w, nil
}

func endpoint(so Options) *socket.Endpoint {
	return &socket.Endpoint{MaxMessage: 1 << 20, MaxQueueFrames: 2*so.PerChannel + 16}
}

// expect says that members are cut from now on.
func (w *witnesses) expect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
}

// removed takes note of a user who was removed from a channel.
func (w *witnesses) removed(channel, perChannel int, user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, isMember := strings.CutPrefix(user, userPrefix)
	n, err := strconv.Atoi(number)
	switch {
	case !isMember || err != nil || n < 0 || n >= len(w.seen) || n/perChannel != channel || !w.isCut:
		w.evidence.stray++
	case w.seen[n]:
		w.evidence.doubled++
	default:
		w.seen[n] = true
		w.evidence.removed++
		w.evidence.last = time.Now()
	}
}

func (w *witnesses) told() testimony {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.evidence
}
