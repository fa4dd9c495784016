package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/socket"
)

const (
	// openTimeout bounds one connection's way to its last subscription.
	openTimeout = 15 * time.Second
	// closeTimeout bounds the end of all connections.
	closeTimeout = 30 * time.Second
)

// swarm is all connections of a run.
type swarm struct {
	o        Options
	clock    clock
	mark     mark
	channels []string
	endpoint *socket.Endpoint
	readers  []*reader

	live       atomic.Int64 // connections that are subscribed
	dropped    atomic.Int64 // connections that ended by themselves after that
	isClosing  atomic.Bool
	isEnding   atomic.Bool // the server is told to end: errors and lost connections are no complaints
	complaints complaints

	mu    sync.Mutex
	conns map[int]member // by index, those that were subscribed; guarded by mu
}

// member is a connection of the swarm.
type member struct {
	conn *socket.Conn
	sub  *subscriber
}

// newSwarm runs readers until ctx ends; wait returns when they have ended.
func newSwarm(ctx context.Context, o Options) (s *swarm, wait func(), err error) {
	s = &swarm{
		o: o, clock: clock{time.Now()}, mark: newMark(rand.Uint32()), channels: o.ChannelNames(),
		endpoint: &socket.Endpoint{MaxMessage: 1 << 20, MaxQueueFrames: 2*o.Subscriptions + 16},
		conns:    make(map[int]member, o.Connections),
	}
	for range o.Readers {
		r, err := newReader(s.clock, s.mark, o.Payload)
		if err != nil {
			return nil, nil, err
		}
		s.readers = append(s.readers, r)
	}
	var running sync.WaitGroup
	for _, r := range s.readers {
		running.Go(func() { _ = r.engine.Run(ctx) })
	}
	return s, running.Wait, nil
}

// Opening is how connections were opened.
type Opening struct {
	Opened    int     `json:"opened"`
	Failed    int     `json:"failed"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"` // upgraded, established and subscribed
}

// connect opens every connection, a bounded number at a time. A connection that fails is
// not tried again.
func (s *swarm) connect(ctx context.Context) Opening {
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	start := time.Now()
	for range min(s.o.ConnectConcurrency, s.o.Connections) {
		workers.Go(func() { // ends with the last connection
			ready := make(chan error, 1)
			for i := int(next.Add(1)) - 1; i < s.o.Connections && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := s.openOne(ctx, i, ready); err != nil {
					failed.Add(1)
					s.complaints.add(fmt.Errorf("connect: %w", err))
					ready = make(chan error, 1) // the former may still be told something
				}
			}
		})
	}
	workers.Wait()
	o := Opening{Failed: int(failed.Load()), Seconds: time.Since(start).Seconds()}
	o.Opened = len(s.members())
	o.PerSecond = float64(o.Opened) / o.Seconds
	return o
}

func (s *swarm) openOne(ctx context.Context, i int, ready chan error) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	sub := newSubscriber(s, i, ready)
	conn, err := sub.reader.engine.Dial(ctx, s.o.SocketURL(), s.endpoint, s.dialer(i))
	if err != nil {
		return err
	}
	conn.Start(sub)
	if s.o.Views {
		sub.subscribeViews(conn)
	}
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = errTimeout
	}
	if err != nil {
		conn.Close(socket.Disconnect{Code: 1000})
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[i] = member{conn, sub}
	return nil
}

// dialer binds connections to further loopback addresses when there are more of them than
// ports, if the server is on loopback.
func (s *swarm) dialer(i int) *net.Dialer {
	if s.o.Connections <= perSource {
		return nil
	}
	u, err := url.Parse(s.o.URL)
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || ip.To4() == nil || !ip.IsLoopback() {
		return nil
	}
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/perSource%250))}}
}

// members is a copy of the connections that were subscribed.
func (s *swarm) members() []member {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]member, 0, len(s.conns))
	for i := range s.o.Connections {
		if m, ok := s.conns[i]; ok {
			list = append(list, m)
		}
	}
	return list
}

// disconnect closes every connection as a client does and waits until all are gone.
func (s *swarm) disconnect(ctx context.Context) error {
	s.isClosing.Store(true)
	defer s.isClosing.Store(false)
	for _, m := range s.members() {
		m.conn.Close(socket.Disconnect{Code: 1000})
	}
	s.mu.Lock()
	clear(s.conns)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	for s.remaining() > 0 {
		if !Pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%d connections did not close: %w", s.remaining(), ctx.Err())
		}
	}
	return nil
}

// remaining counts connections whose descriptor is still held.
func (s *swarm) remaining() int {
	n := 0
	for _, r := range s.readers {
		n += r.engine.Connections()
	}
	return n
}

// shares counts subscribers by reader and channel.
func (s *swarm) shares() [][]uint32 {
	shares := make([][]uint32, len(s.readers))
	for i, r := range s.readers {
		shares[i] = make([]uint32, s.o.Channels)
		for _, m := range s.members() {
			if m.sub.reader != r {
				continue
			}
			for k := range m.sub.books {
				shares[i][m.sub.channel(k)]++
			}
		}
	}
	return shares
}

func (s *swarm) snapshot() Counts {
	var sum Counts
	for _, r := range s.readers {
		sum.add(r.snapshot())
	}
	return sum
}
