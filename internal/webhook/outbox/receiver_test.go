package outbox_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/webhook/outbox"
)

// oddBody is the body of an answer that is read in an odd way.
type oddBody func(p []byte) (int, error)

func (b oddBody) Read(p []byte) (int, error) { return b(p) }
func (oddBody) Close() error                 { return nil }

// oddAnswer brings requests to a receiver and puts another body under its answers.
type oddAnswer struct {
	transport
	body func(r *http.Request) oddBody
}

func (o oddAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := o.transport.RoundTrip(r)
	if err == nil {
		response.Body = o.body(r)
	}
	return response, err
}

// The status is the answer: what follows it is neither waited for beyond the timeout, nor does it
// have a request repeated.
func TestABodyOfAnyKindIsNoFailure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		body func(*http.Request) oddBody
		most time.Duration // for one request
	}{
		{"it comes byte by byte for ever", func(r *http.Request) oddBody {
			return func(p []byte) (int, error) {
				select {
				case <-time.After(time.Second):
					return copy(p, "x"), nil
				case <-r.Context().Done():
					return 0, r.Context().Err()
				}
			}
		}, 10 * time.Second},
		{"it never ends", func(*http.Request) oddBody {
			return func(p []byte) (int, error) { return len(p), nil }
		}, 0},
		{"it is cut", func(*http.Request) oddBody {
			return func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				o.Transport = oddAnswer{transport{"hook": r}, tt.body}
				n := start(t, o, unbatched(hook("hook")))
				var want []string
				for i := range 6 {
					n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
					want = append(want, fmt.Sprintf("cache_miss cache-%d", i))
				}
				after(6*tt.most + time.Millisecond)
				r.expect(t, "each once", want...)
				after(time.Minute)
				r.expect(t, "none again")
				if s := n.Status("app")[0]; s.Events != 0 || s.Failures != 0 {
					t.Errorf("got status %+v", s)
				}
			})
		})
	}
}

// A request that has no status has failed.
func TestReceiversThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter){
		"close without an answer": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"send more headers than anybody reads": func(w http.ResponseWriter) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1024))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if r.ServeHTTP(unanswered{w}, req); r.count()%2 == 1 {
					answer(w)
				}
			}))
			defer server.Close()
			n := start(t, outbox.Options{}, unbatched(network("hook", server.URL)))
			for i := range 5 {
				n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
			}
			waitFor(t, "all is delivered", func() bool { return n.Status("app")[0].Events == 0 && r.count() >= 10 })
			expectInOrder(t, r, 5)
		})
	}
}

// unanswered lets somebody else answer.
type unanswered struct{ http.ResponseWriter }

func (unanswered) WriteHeader(int)             {}
func (unanswered) Write(b []byte) (int, error) { return len(b), nil }

func TestNothingIsSentToAReceiverWithABadCertificate(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	p := network("hook", server.URL)
	p.Retry.MaxAttempts = 2
	n := start(t, outbox.Options{}, p)
	n.CacheMiss("app", "cache-x")
	waitFor(t, "it is given up", func() bool { return len(deadOf(t, n)) == 1 })
	if l := deadOf(t, n)[0]; !strings.Contains(l.Detail, "certificate") || strings.Contains(l.Detail, server.URL) || l.Attempts != 2 {
		t.Errorf("got letter %+v", l)
	}
	r.expect(t, "without trust")
}
