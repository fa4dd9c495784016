package http1

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Over TLS, too, Shed ends connections whose clients owe something that is worth nothing by itself:
// the rest of a handshake or of a head.
func TestShedClosesWhoSendsInPartOverTLS(t *testing.T) {
	t.Parallel()
	const (
		aHello = "\x16\x03\x01\x02\x00\x01\x00" // the start of one
	)
	config, trusting := certified()
	tests := []struct {
		name, text string
		isRaw      bool // text is no part of a conversation over TLS
		answers    int
		isKept     bool
	}{
		{"nothing", "", true, 0, false},
		{"the start of a handshake", aHello, true, 0, false},
		{"a handshake", "", false, 0, false},
		{"the start of a head", "GET / HTTP/1.1\r\nHost", false, 0, false},
		{"a request, answered", put, false, 1, false},
		{"a request, answered, and the start of another", put + "GET", false, 1, false},
		{"a request under way", "PUT /slow HTTP/1.1\r\nHost: h\r\n\r\n", false, 0, true},
		{"a request under way, which came with another", put + "PUT /slow HTTP/1.1\r\nHost: h\r\n\r\n", false, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entered, leave := make(chan struct{}), make(chan struct{})
			l := loopback(t)
			n := startTLS(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(entered)
					<-leave
				}
				echo(w, r)
			}), config)
			p := dial(t, l)
			if !tt.isRaw {
				p.encrypt(trusting)
			}
			p.say(tt.text)
			for range tt.answers {
				p.hears()
			}
			if tt.isKept {
				<-entered
				n.Shed(1, 0)
				close(leave)
				if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") {
					t.Errorf("got %q", got)
				}
				return
			}
			if n.Shed(1, time.Minute) > 0 {
				t.Error("one that has just come was closed")
			}
			n.shedUntil(t, p)
			if left := n.waiting(); left != 0 {
				t.Errorf("%d connections are kept", left)
			}
		})
	}
}

// encrypt makes the peer speak TLS from now on.
func (p *peer) encrypt(trusting *tls.Config) {
	p.t.Helper()
	c := tls.Client(p.Conn, trusting)
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.Conn, p.r = c, bufio.NewReader(c)
}

// shedUntil sheds until p, the only connection, is closed: one from which something comes at this
// moment may stay.
func (s *Server) shedUntil(t *testing.T, p *peer) {
	t.Helper()
	closed := make(chan bool, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() { closed <- p.isClosed() })
	defer waiting.Wait()
	for begun := time.Now(); ; runtime.Gosched() {
		s.Shed(1, 0)
		select {
		case ok := <-closed:
			if !ok {
				t.Error("it is still there")
			}
			return
		default:
		}
		if time.Since(begun) > waitLimit {
			t.Error("it is never closed")
			_ = p.Close()
			return
		}
	}
}

// waiting is how many connections Shed may still end, once net/http has noticed what it ended.
func (s *Server) waiting() (n int) {
	for begun := time.Now(); time.Since(begun) < waitLimit; runtime.Gosched() {
		s.mu.Lock()
		n = len(s.handed)
		s.mu.Unlock()
		if n == 0 {
			return 0
		}
	}
	return n
}
