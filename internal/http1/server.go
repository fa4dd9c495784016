package http1

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a server. MaxHead and the timeouts are required; other zero fields mean the default.
type Options struct {
	IsOff          bool          // net/http serves every connection, as it does over TLS
	MaxHead        int           // most bytes of the head of a request; net/http judges a longer one
	HeaderTimeout  time.Duration // for the head of a request, once it has begun
	IdleTimeout    time.Duration // between an answer and the next request
	RequestTimeout time.Duration // for a body to come, and for an answer to be taken
	Log            *slog.Logger  // default none
	Metrics        *Metrics      // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Server serves one listener.
type Server struct {
	o       Options
	handler http.Handler
	next    *http.Server    // for what is unusual
	ctx     context.Context //nolint:containedctx // of every request; ends with Close
	cancel  context.CancelFunc
	over    *handover
	date    calendar
	running sync.WaitGroup // the connections; Serve joins them

	isRetiring atomic.Bool   // every connection ends with the answer to what has come
	isDraining atomic.Bool   // isRetiring, and those that wait for a request have ended
	sheds      atomic.Uint32 // calls of Shed
	isIdle     chan struct{} // closed when the server drains and has no connection left

	mu        sync.Mutex
	listener  net.Listener        // guarded by mu; nil before Serve
	conns     map[*conn]struct{}  // guarded by mu
	serving   int                 // goroutines of connections; guarded by mu
	handed    map[waiter]struct{} // guarded by mu; those that net/http serves
	isSettled bool                // isIdle is closed; guarded by mu
}

// New makes a server that answers with the handler of next, and by next itself where it must.
// next belongs to it from then on.
func New(next *http.Server, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		o: o, handler: next.Handler, next: next, over: newHandover(), isIdle: make(chan struct{}), conns: map[*conn]struct{}{},
		handed: map[waiter]struct{}{},
	}
	given := next.ConnState
	next.ConnState = func(nc net.Conn, state http.ConnState) {
		s.note(nc, state)
		if given != nil {
			given(nc, state)
		}
	}
	next.Handler = http.HandlerFunc(s.answerByNetHTTP)
	s.o.MaxHead = min(o.MaxHead, maxHead)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve serves l until Shutdown or Close, and returns http.ErrServerClosed then, or what
// Accept failed with for good. With IsOff or a TLS configuration all of it is net/http's. It may
// be called once.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener, s.over.at = l, l.Addr()
	s.mu.Unlock()
	if s.isDraining.Load() {
		_ = l.Close() // no client has been let in
		return http.ErrServerClosed
	}
	if s.o.IsOff || s.next.TLSConfig != nil {
		err := serveByNetHTTP(s.next, l, s.keep)
		if s.isDraining.Load() {
			return http.ErrServerClosed // net/http is told last, when it has nothing to wait for
		}
		return err
	}
	guard(s.next)
	var rest sync.WaitGroup
	rest.Go(func() { _ = s.next.Serve(s.over) }) // ends with next.Shutdown or next.Close
	err := s.accept(l)
	isShutDown := errors.Is(err, http.ErrServerClosed)
	if !isShutDown {
		s.drain(endWaiting) // idle clients would keep the error from being known
	}
	s.running.Wait()
	if !isShutDown {
		_ = s.next.Close() // the listener's error is the one that counts
	}
	rest.Wait()
	return err
}

// accept lets connections in, and waits a while when that fails for a while.
func (s *Server) accept(l net.Listener) error {
	const first, most = 5 * time.Millisecond, time.Second
	pause := first
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = first
			s.begin(nc)
			continue
		}
		if s.isDraining.Load() {
			return http.ErrServerClosed
		}
		if passing, ok := errors.AsType[interface {
			error
			Temporary() bool
		}](err); !ok || !passing.Temporary() {
			return err
		}
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
		}
		pause = min(2*pause, most)
	}
}

func (s *Server) begin(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	if s.isDraining.Load() {
		s.mu.Unlock()
		_ = nc.Close() // as if it had come a moment later
		return
	}
	s.conns[c] = struct{}{}
	s.serving++
	s.countLocked()
	s.mu.Unlock()
	s.running.Go(c.serve) // ends with the connection
}

// forget leaves a connection to others.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.countLocked()
}

// handOver lets net/http go on with a connection, from these unused bytes on.
func (s *Server) handOver(c *conn, unused []byte) {
	_ = c.nc.SetDeadline(time.Time{}) // fails with the connection
	r := &replay{Conn: c.nc, unread: bytes.Clone(unused)}
	r.wait()
	r.isSilent.Store(false) // a request has begun, which Shutdown waits for
	s.mu.Lock()
	delete(s.conns, c)
	s.handed[r] = struct{}{}
	s.countLocked()
	s.mu.Unlock()
	if !s.over.give(r) {
		s.note(r, http.StateClosed)
	}
}

// keep follows a connection that net/http is about to get, from which nothing has been read. It
// reports false if the server lets no more in.
func (s *Server) keep(w waiter) bool {
	w.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining.Load() {
		return false
	}
	s.handed[w] = struct{}{}
	s.countLocked()
	return true
}

// note follows what net/http does with a connection.
func (s *Server) note(nc net.Conn, state http.ConnState) {
	w, ok := nc.(waiter)
	if !ok {
		return
	}
	if state == http.StateIdle {
		w.wait()
		if s.isDraining.Load() && w.giveUpSilent() {
			_ = w.Close() // its answer had begun before it could be told to be the last
		}
	}
	if state == http.StateHijacked || state == http.StateClosed {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.handed, w)
		s.countLocked()
		s.settleLocked()
	}
}

// answerByNetHTTP is the handler of what net/http serves.
func (s *Server) answerByNetHTTP(w http.ResponseWriter, r *http.Request) {
	nc, ok := r.Context().Value(twiceKey{}).(waiter)
	if ok && !nc.begin() {
		panic(http.ErrAbortHandler) // it has been closed, and the client may ask again
	}
	if ok && nc.headSize() > s.maxHeadOfNetHTTP() {
		w.Header().Set("Connection", "close")
		http.Error(w, "431 Request Header Fields Too Large", http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	last := &lastWriter{ResponseWriter: w, server: s}
	s.handler.ServeHTTP(last, r)
	last.begin() // an answer of which nothing was written
}

// maxHeadOfNetHTTP is how many bytes net/http takes of the first head of a connection. Of a later
// one, it takes up to 4 KB more: what it has read while it waited.
func (s *Server) maxHeadOfNetHTTP() int {
	const slop = 4096 // of net/http
	if most := s.next.MaxHeaderBytes; most > 0 {
		return most + slop
	}
	return http.DefaultMaxHeaderBytes + slop
}

// Shed ends up to n connections of which no request has come for so long, or not the whole head
// of one, or of a TLS handshake, because descriptors are scarce, and returns how many. One from which something comes at
// this moment counts, and may stay.
func (s *Server) Shed(n int, silence time.Duration) (ended int) {
	before := time.Now().Add(-silence).UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sheds.Add(1)
	for c := range s.conns {
		if ended == n {
			break
		}
		if c.waitsSince.Load() <= before && (c.isWaiting.CompareAndSwap(true, false) || c.isStuck.CompareAndSwap(true, false)) { // once
			_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails with the connection
			ended++
		}
	}
	for w := range s.handed {
		if ended == n {
			break
		}
		if w.giveUp(before) {
			w.cut() // its client may come back
			ended++
		}
	}
	return ended
}

// date is a second of the clock, as answers write it. It is immutable.
type date struct {
	second int64
	text   string
}

// calendar keeps the date that was asked for last.
type calendar struct{ last atomic.Pointer[date] }

func (c *calendar) at(now time.Time) string {
	d := c.last.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &date{second, now.UTC().Format(http.TimeFormat)}
		c.last.Store(d)
	}
	return d.text
}
