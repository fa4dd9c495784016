package http1

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeouts: within a promised time and two seconds, a silent client is gone.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	o := options()
	o.HeaderTimeout, o.RequestTimeout, o.IdleTimeout = 10*time.Second, 30*time.Second, 75*time.Second
	for name, c := range map[string]struct {
		said    string
		answers int
		after   time.Duration
	}{
		"says nothing":                                      {"", 0, o.HeaderTimeout},
		"says half a head":                                  {"GET / HTTP/1.1\r\nHo", 0, o.HeaderTimeout},
		"says half a head later":                            {get + "GET / HTTP/1.1\r\nHo", 1, o.HeaderTimeout},
		"says half a body":                                  {"POST /empty HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf", 1, o.RequestTimeout},
		"has got its answer":                                {get, 1, o.IdleTimeout},
		"has got two":                                       {get + get, 2, o.IdleTimeout},
		"does not take its answer":                          {asked("/large"), 0, o.RequestTimeout},
		"does not take a small one":                         {get, 0, o.RequestTimeout},
		"does not take one that its handler hurries":        {asked("/hurry"), 0, 5 * time.Second},
		"does not take the one after a long time was given": {asked("/linger") + get, 1, o.RequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := inMemory()
				n := start(t, l, echo, o)
				p := dial(t, l)
				begun := time.Now()
				go func() { _, _ = io.WriteString(p, c.said) }() // ends with the connection
				for range c.answers {
					p.hears()
				}
				synctest.Wait()
				time.Sleep(c.after - time.Second)
				if n.open() != 1 {
					t.Errorf("gone too early")
				}
				for n.open() > 0 {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(begun); took > c.after+2*slack+time.Second {
					t.Errorf("gone after %v, want %v", took, c.after)
				}
				_ = p.Close()
				if err := n.shutdown(t); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTheIdleTimeBeginsWhenTheAnswerIsTaken: one clock reading serves an answer and the wait after
// it, unless the client has kept the answer waiting, or the rest of its body.
func TestTheIdleTimeBeginsWhenTheAnswerIsTaken(t *testing.T) {
	t.Parallel()
	o := options()
	o.IdleTimeout = time.Minute
	for name, say := range map[string]func(*peer){
		"which is taken late": func(p *peer) {
			p.say(get)
			time.Sleep(time.Hour / 2)
			p.hears()
		},
		"which is taken before the body is sent": func(p *peer) {
			p.say("POST /empty HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
			p.hears()
			time.Sleep(time.Hour / 2)
			p.say(" more")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := inMemory()
				n := start(t, l, echo, o)
				p := dial(t, l)
				say(p)
				synctest.Wait()
				time.Sleep(o.IdleTimeout - time.Second)
				if n.open() != 1 {
					t.Error("gone before its idle time was over")
				}
				_ = p.Close()
				if err := n.shutdown(t); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func (n *node) open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// TestADeadlineOfTheHandlerHolds: it is that of the connection from then on, and the loop's own
// come back with the next request.
func TestADeadlineOfTheHandlerHolds(t *testing.T) {
	t.Parallel()
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := errors.Join(control.SetReadDeadline(time.Now()), control.SetWriteDeadline(time.Now().Add(waitLimit))); err != nil {
			t.Error(err)
		}
		echo(w, r)
	}), options())
	p := dial(t, n.l)
	p.say("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
	if got := p.hears(); !strings.Contains(got, "i/o timeout") {
		t.Errorf("got %q", got)
	}
}
