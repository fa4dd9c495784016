package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestShutdownAnswersWhatHasBegun: a request of which a part has come is answered, whichever loop
// reads it, and so is one that the short loop leaves to net/http while the server drains.
func TestShutdownAnswersWhatHasBegun(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		echo(w, r)
	}), options())
	usual, unusual, later, goesOver := dial(t, n.l), dial(t, n.l), dial(t, n.l), dial(t, n.l)
	usual.say(post[:len(post)-3])
	unusual.say(put[:12])
	later.say(put)
	later.hears()
	later.say(put[:12])
	goesOver.say(asked("/slow") + put)
	<-entered
	for n.begun() < 2 {
		runtime.Gosched() // until net/http has got the parts
	}
	done := make(chan error, 1)
	go func() { done <- n.shutdown(t) }() // ends with the requests
	for !n.isDraining.Load() {
		runtime.Gosched()
	}
	usual.say(post[len(post)-3:])
	unusual.say(put[12:])
	later.say(put[12:])
	close(leave)
	if got := goesOver.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("the slow request: %q", got)
	}
	for name, p := range map[string]*peer{"usual": usual, "unusual": unusual, "later": later, "left to net/http": goesOver} {
		if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "close=true") {
			t.Errorf("the %s request: %q", name, got)
		}
		if !p.isClosed() {
			t.Errorf("the connection of the %s request goes on", name)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// begun is how many connections of net/http have sent a part of a head, and no more.
func (s *Server) begun() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.handed {
		if r := w.(*replay); !r.isSilent.Load() && r.waitsSince.Load() > 0 {
			n++
		}
	}
	return n
}

// TestShutdownTakesNoTimeOfItsOwn: a connection that has said nothing, or is silent between two
// requests, does not hold it up, whichever loop has it.
func TestShutdownTakesNoTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, isOff := range map[string]bool{"the short loop": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options()
				o.IsOff = isOff
				l := inMemory()
				n := start(t, l, echo, o)
				_, idle := dial(t, l), dial(t, l)
				idle.say(get)
				idle.hears()
				synctest.Wait()
				begun := time.Now()
				if err := n.shutdown(t); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > 0 {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestShutdownHasOneDeadline: it holds for requests of both loops together.
func TestShutdownHasOneDeadline(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{"the short loop": get, "net/http": put} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leave := make(chan struct{})
				l := inMemory()
				n := start(t, l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }), options())
				p := dial(t, l)
				p.say(request)
				synctest.Wait()
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := n.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Shutdown: %v", err)
				}
				if took := time.Since(begun); took != time.Second {
					t.Errorf("it took %v, want 1s", took)
				}
				go func() { _, _ = io.Copy(io.Discard, p) }() // ends with the connection
				close(leave)
				if err := n.shutdown(t); err != nil {
					t.Errorf("after the request: %v", err)
				}
			})
		})
	}
}

// TestShutdownOverTLS closes idle connections at once, and says so in the way of TLS, while a request
// is under way.
func TestShutdownOverTLS(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	config, trusting := certified()
	l := loopback(t)
	n := startTLS(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		echo(w, r)
	}), config)
	fresh, idle, slow := dial(t, l), dial(t, l), dial(t, l)
	for _, p := range []*peer{fresh, idle, slow} {
		p.encrypt(trusting)
	}
	idle.say(get)
	idle.hears()
	slow.say(asked("/slow"))
	<-entered
	for n.silent() < 2 {
		runtime.Gosched() // until net/http knows of both
	}
	done := make(chan error, 1)
	go func() { done <- (&node{Server: n}).shutdown(t) }() // ends with the slow request
	for name, p := range map[string]*peer{"fresh": fresh, "idle": idle} {
		if _, err := p.r.ReadByte(); err != io.EOF {
			t.Errorf("the %s connection ends with %v", name, err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	close(leave)
	if got := slow.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "close=true") {
		t.Errorf("the slow request: %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// silent is how many connections net/http has that wait for a request.
func (s *Server) silent() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.handed {
		if e := w.(*encrypted); e.isSilent.Load() && e.waitsSince.Load() > 0 && e.Conn.ConnectionState().HandshakeComplete {
			n++
		}
	}
	return n
}
