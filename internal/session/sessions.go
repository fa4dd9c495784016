// Package session is the edge where WebSocket connections become sessions of an app: it
// admits or refuses them, checks liveness and limits, verifies channel signatures, and
// turns commands into calls of the channel engine.
//
// It must never know how frames are written (socket), who else is subscribed (hub, channel)
// or the HTTP API. It starts no goroutine: package socket calls a session's methods one at
// a time, so a session needs no lock of its own. Replies and broadcasts share the
// connection's one ordered queue; a reply is never dropped, and what a session loses to a
// full queue is the socket's decision.
package session

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
)

// Options of New. Everything without "may" in its comment is required.
type Options struct {
	Apps     app.Registry
	Channels *channel.Engine
	Hub      *hub.Hub
	Sockets  *socket.Engine
	Codec    protocol.Codec

	// Endpoint bounds messages and queues; New fills in the farewell to slow consumers.
	Endpoint socket.Endpoint

	ActivityTimeout time.Duration // whole seconds are announced to clients
	PongTimeout     time.Duration
	StrictProtocol  bool // refuse a missing or unknown protocol version (pusher-protocol 1.3)
	MaxConnections  int  // of this node; may be zero: unlimited

	Draining func() bool      // whether shutdown has begun
	Now      func() time.Time // may be nil: time.Now
	Log      *slog.Logger
	Metrics  *Metrics // may be nil: not registered
}

// Sessions accepts connections and knows all that are open. Safe for concurrent use.
//
// Invariants: a connection counts against its app's quota and the node's ceiling from
// before it is told its socket id until its socket is dead, and never otherwise; a refused
// connection has no socket id.
type Sessions struct {
	o        Options
	endpoint socket.Endpoint
	ctx      context.Context // ends when sessions must stop waiting for anything
	stop     context.CancelFunc
	start    time.Time // origin of the times that sessions store
	ping     []byte
	pong     []byte

	node   limit.Quota
	sample sampler

	mu     sync.Mutex
	quotas map[string]*limit.Quota // by app id; guarded by mu
	first  *Session                // of the list of open sessions; guarded by mu
	size   int                     // of that list; guarded by mu
}

// New makes the sessions of one node.
func New(o Options) *Sessions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	ss := &Sessions{
		o:        o,
		endpoint: o.Endpoint,
		start:    o.Now(),
		ping:     o.Codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessagePing}),
		pong:     o.Codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessagePong}),
		quotas:   make(map[string]*limit.Quota),
	}
	ss.endpoint.SlowConsumer = ss.farewell(protocol.ErrSlowConsumer)
	ss.ctx, ss.stop = context.WithCancel(context.Background())
	return ss
}

// Len is the number of connections whose effects have not all ended.
func (ss *Sessions) Len() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.size
}

// Drain tells every connection to reconnect elsewhere (pusher-protocol 7.9) and returns
// when all effects of their leaving have happened, or when ctx ends. The closing is spread
// over the given time in random order, so that they do not all come back at the same
// moment. New connections must be refused before it is called.
func (ss *Sessions) Drain(ctx context.Context, spread time.Duration) {
	defer ss.stop()
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()

	farewell := ss.farewell(protocol.ErrShutdown)
	all := ss.snapshot()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	share := len(all)/max(int(spread/step), 1) + 1
	for len(all) > 0 {
		n := min(share, len(all))
		for _, s := range all[:n] {
			s.conn.Close(farewell)
		}
		clear(all[:n])
		if all = all[n:]; len(all) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	// Those admitted while the draining began are closed as they show up.
	for {
		left := ss.snapshot()
		if len(left) == 0 {
			return
		}
		for _, s := range left {
			s.conn.Close(farewell)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (ss *Sessions) snapshot() []*Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	all := make([]*Session, 0, ss.size)
	for s := ss.first; s != nil; s = s.next {
		all = append(all, s)
	}
	return all
}

func (ss *Sessions) add(s *Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s.next = ss.first
	if s.next != nil {
		s.next.prev = s
	}
	ss.first = s
	ss.size++
}

func (ss *Sessions) remove(s *Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		ss.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	ss.size--
}

// quotaOf finds or makes the counter of an app.
func (ss *Sessions) quotaOf(id string) *limit.Quota {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	q := ss.quotas[id]
	if q == nil {
		q = new(limit.Quota)
		ss.quotas[id] = q
	}
	return q
}

// farewell is how a connection is closed for e: the error frame, then the same code.
func (ss *Sessions) farewell(e *protocol.Error) socket.Farewell {
	return socket.Farewell{
		Message: ss.o.Codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageError, Err: e}),
		Code:    e.Code,
		Reason:  e.Message,
	}
}

// clock is the time as sessions store it: milliseconds, of which only differences up to 49
// days mean something.
func (ss *Sessions) clock() uint32 { return uint32(ss.o.Now().Sub(ss.start).Milliseconds()) }

// sampler lets one event per second through and counts the others.
type sampler struct {
	last    atomic.Int64 // nanoseconds of the last that passed
	skipped atomic.Int64
}

// pass reports whether to speak, and how many were skipped since the last time.
func (s *sampler) pass(now time.Time) (skipped int64, ok bool) {
	last := s.last.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.last.CompareAndSwap(last, now.UnixNano()) {
		s.skipped.Add(1)
		return 0, false
	}
	return s.skipped.Swap(0), true
}
