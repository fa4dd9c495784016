package http1

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const put = "PUT /a HTTP/1.1\r\nHost: h\r\n\r\n" // which is net/http's

// TestAContextEndsWithItsClient: by a close or a half-close, over a socket or not, before or after
// the handler begins to wait, and whichever loop has the connection.
func TestAContextEndsWithItsClient(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(context.Context){
		"waiting for it": func(ctx context.Context) { <-ctx.Done() },
		"asking again and again": func(ctx context.Context) {
			for ctx.Err() == nil {
				runtime.Gosched()
			}
		},
		"waiting for a child of it": func(ctx context.Context) {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-child.Done()
		},
	} {
		for _, request := range []string{get, post, put, get + get} {
			t.Run(name+" "+request[:4], func(t *testing.T) {
				t.Parallel()
				entered, ended := make(chan struct{}, 2), make(chan error, 2)
				n := start(t, loopback(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					entered <- struct{}{}
					ask(r.Context())
					ended <- context.Cause(r.Context())
				}), options())
				p := dial(t, n.l)
				p.say(request)
				<-entered
				if request == post {
					_ = p.Conn.(*net.TCPConn).CloseWrite()
				} else {
					_ = p.Close()
				}
				select {
				case err := <-ended:
					if err != context.Canceled { //nolint:errorlint // as net/http
						t.Errorf("it ended with %v", err)
					}
				case <-time.After(waitLimit):
					t.Error("it does not end")
				}
			})
		}
	}
}

// TestAContextEndsForNothingElse: not by the time in which requests must come, nor by what comes
// while the handler waits, which is the next request; the connection goes on with its limits.
func TestAContextEndsForNothingElse(t *testing.T) {
	t.Parallel()
	o := options()
	o.HeaderTimeout, o.RequestTimeout, o.IdleTimeout = 10*time.Second, 30*time.Second, 75*time.Second
	for name, next := range map[string]string{"silence": "", "the next request": get, "the next two": post + get} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := inMemory()
				n := start(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/slow" {
						echo(w, r)
						return
					}
					select {
					case <-r.Context().Done():
						t.Error("the context has ended")
					case <-time.After(time.Hour):
					}
				}), o)
				p := dial(t, l)
				p.say(asked("/slow"))
				go func() { // ends with the connection
					time.Sleep(time.Minute)
					_, _ = io.WriteString(p, next)
				}()
				want := 1 + strings.Count(next, "HTTP/1.1")
				for i := range want {
					if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") {
						t.Errorf("answer %d: %q", i, got)
					}
				}
				begun := time.Now()
				for n.open() > 0 {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(begun); took < o.IdleTimeout || took > o.IdleTimeout+3*slack {
					t.Errorf("the connection is closed after %v, want %v", took, o.IdleTimeout)
				}
				_ = p.Close()
			})
		})
	}
}

// TestAContextEndsWithItsHandler: what a handler has left behind knows that, and nothing of the
// next request of the connection.
func TestAContextEndsWithItsHandler(t *testing.T) {
	t.Parallel()
	contexts := make(chan context.Context, 1)
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Err() != nil {
			t.Error("it has ended before its handler")
		}
		contexts <- r.Context()
		echo(w, r)
	}), options())
	p := dial(t, n.l)
	for range 3 {
		p.say(post)
		ctx := <-contexts
		p.hears()
		if ctx.Err() != context.Canceled {
			t.Errorf("after the handler: %v", ctx.Err())
		}
	}
}

// TestAContextThatIsNotAskedCostsNothing: it serves one request after the other, also where each
// handler looks once, and asked between two of them it has ended.
func TestAContextThatIsNotAskedCostsNothing(t *testing.T) {
	t.Parallel()
	contexts := make(chan context.Context, 1)
	n := start(t, loopback(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Errorf("in the handler: %v", err)
		}
		contexts <- r.Context()
	}), options())
	p := dial(t, n.l)
	p.say(get)
	first := <-contexts
	p.hears()
	for range 2 {
		p.say(get)
		if next := <-contexts; next != first {
			t.Error("each request has one")
		}
		p.hears()
	}
	for !n.isAwaited() {
		runtime.Gosched() // until the handler has returned
	}
	if first.Err() == nil {
		t.Error("between two requests it has not ended")
	}
	p.say(get)
	if next := <-contexts; next == first {
		t.Error("the next request has one that has ended")
	}
	p.hears()
}

// TestAWatchTakesNothingFromAHijacker: the context goes on after it, and what has come is the
// hijacker's.
func TestAWatchTakesNothingFromAHijacker(t *testing.T) {
	t.Parallel()
	watched := make(chan struct{})
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := r.Context().Done()
		<-watched
		time.AfterFunc(2*watchAfter, func() { watched <- struct{}{} })
		<-watched // the watch has what has come
		hijacker(t).ServeHTTP(w, r)
		select {
		case <-done:
			t.Error("the context has ended")
		default:
		}
	}), options())
	p := dial(t, n.l)
	p.say(asked("/app"))
	watched <- struct{}{}
	p.say("early")
	_ = p.Conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(p.r)
	if err != nil || strings.Count(string(got), "early") == 0 || !strings.HasSuffix(string(got), ";early") {
		t.Errorf("got %q, %v", got, err)
	}
}
