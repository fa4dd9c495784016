package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// veiled is a writer with another behind it, as package telemetry makes one.
type veiled struct{ http.ResponseWriter }

func (v veiled) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// stream says what comes from events, each when it comes, until the client leaves.
func stream(events <-chan string, ended chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = veiled{w}
		if HandOver(w, r) {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		for {
			var event string
			select {
			case <-r.Context().Done():
				ended <- context.Cause(r.Context())
				return
			case event = <-events:
			}
			_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second))
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
			if err := control.Flush(); err != nil {
				ended <- err
				return
			}
		}
	})
}

// TestAnAnswerThatStreams leaves piece by piece, outlasts every limit, and ends with its client,
// whether the connection begins here or with net/http.
func TestAnAnswerThatStreams(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"first": "", "after another": get, "net/http alone": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options()
				o.IsOff = name == "net/http alone"
				o.HeaderTimeout, o.RequestTimeout, o.IdleTimeout = 10*time.Second, 30*time.Second, 75*time.Second
				events, ended := make(chan string), make(chan error, 1)
				streams := stream(events, ended)
				l := inMemory()
				n := start(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/stream" {
						streams.ServeHTTP(w, r)
						return
					}
					echo(w, r)
				}), o)
				p := dial(t, l)
				if before != "" {
					p.say(before)
					p.hears()
				}
				p.say(asked("/stream"))
				synctest.Wait()
				if n.Shed(1, 0) > 0 {
					t.Error("a stream was shed")
				}
				events <- "first"
				answer, err := http.ReadResponse(p.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body := bufio.NewReader(answer.Body)
				for _, want := range []string{"first", "second", "third"} {
					got, err := body.ReadString('\n')
					if _, err2 := body.ReadString('\n'); err != nil || err2 != nil || got != "data: "+want+"\n" {
						t.Fatalf("heard %q, %v, want the %s", got, err, want)
					}
					time.Sleep(time.Hour)
					select {
					case err := <-ended:
						t.Fatalf("it ends with %v before its client", err)
					default:
					}
					switch want {
					case "first":
						events <- "second"
					case "second":
						events <- "third"
					}
				}
				_ = p.Close()
				if err := <-ended; err != context.Canceled { //nolint:errorlint // as net/http
					t.Errorf("it ends with %v", err)
				}
			})
		})
	}
}

// TestARequestIsHandedOverWhole: with its body and with what comes behind it, for one answer, and
// net/http keeps the connection.
func TestARequestIsHandedOverWhole(t *testing.T) {
	t.Parallel()
	for name, isObedient := range map[string]bool{"and the handler returns": true, "and the handler goes on": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if HandOver(w, r) && isObedient {
					return
				}
				echo(w, r)
			}), options())
			p := dial(t, n.l)
			p.say(post[:len(post)-3])
			p.say(post[len(post)-3:] + get + post)
			for i, want := range []string{`body="hello"`, "query=b=c", `body="hello"`} {
				if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, want) {
					t.Errorf("answer %d: %q, want %s", i, got, want)
				}
			}
			if got := calls.Load(); got != 4 {
				t.Errorf("handlers were called %d times, want twice for the first request and once for each other", got)
			}
			if got := n.over.Load(); got != 1 {
				t.Errorf("net/http has got %d connections, want 1", got)
			}
		})
	}
}

func TestHandOverThatComesTooLate(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(http.ResponseWriter, *http.Request){
		"after the body":   func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		"after the status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"after a byte":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := make(chan any, 1)
			n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					said <- recover()
					panic(http.ErrAbortHandler)
				}()
				before(w, r)
				HandOver(w, r)
			}), options())
			p := dial(t, n.l)
			p.say(post)
			if got := <-said; got == nil || !strings.Contains(fmt.Sprint(got), "HandOver after") {
				t.Errorf("it says %v", got)
			}
			if got := p.hears(); got != "cut" {
				t.Errorf("the client gets %q", got)
			}
		})
	}
}
