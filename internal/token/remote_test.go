package token_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/token"
)

// source is a key set on a real server, a clock, and an authenticator that uses both.
type source struct {
	fetches, inFlight, most atomic.Int64
	answer                  atomic.Pointer[http.HandlerFunc]
	offset                  atomic.Int64 // of the clock

	signed token.Authenticator
	url    string
}

func newSource(t *testing.T, change func(*token.RemoteOptions)) *source {
	t.Helper()
	s := new(source)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		if n := s.inFlight.Add(1); n > s.most.Load() {
			s.most.Store(n)
		}
		defer s.inFlight.Add(-1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.publish(1)
	o := token.RemoteOptions{URL: server.URL + "/.well-known/jwks.json", Now: s.now}
	if change != nil {
		change(&o)
	}
	remote, err := token.NewRemote(o)
	if err != nil {
		t.Fatal(err)
	}
	s.signed = serverS(t, func(o *token.SignedOptions) { o.Keys, o.Now = remote, s.now })
	return s
}

func (s *source) now() time.Time          { return clock().Add(time.Duration(s.offset.Load())) }
func (s *source) advance(d time.Duration) { s.offset.Add(int64(d)) }

func (s *source) publish(seeds ...byte) {
	var keys []token.Key
	for _, seed := range seeds {
		keys = append(keys, token.Key{Public: public(seed)})
	}
	text := token.KeySet(keys...)
	s.respond(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

func (s *source) respond(h http.HandlerFunc) { s.answer.Store(&h) }

func (s *source) fail() {
	s.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

// handshake with a token by a key, and its name unless told another.
func (s *source) handshake(t *testing.T, seed byte, kid string) string {
	t.Helper()
	_, issue := s.signed.Authenticate(t.Context(), bearer(forge(key(seed), header(kid), claims(s.now()))))
	return code(issue)
}

func (s *source) expect(t *testing.T, seed byte, want string, wantFetches int64) {
	t.Helper()
	if got := s.handshake(t, seed, token.KeyID(public(seed))); got != want {
		t.Errorf("token by key %d: got %q, want %q", seed, got, want)
	}
	if got := s.fetches.Load(); got != wantFetches {
		t.Errorf("%d fetches so far, want %d", got, wantFetches)
	}
}

func TestKeySetIsCachedForAnHour(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	s.expect(t, 1, "", 1)
	s.advance(time.Hour - time.Nanosecond)
	s.expect(t, 1, "", 1)
	s.advance(time.Nanosecond)
	s.expect(t, 1, "", 2)
	s.publish(2)
	s.advance(time.Hour)
	s.expect(t, 1, "token-key-not-found", 3) // withdrawn
}

func TestKeySetNeedsANamedKey(t *testing.T) { // H30
	t.Parallel()
	s := newSource(t, nil)
	if got := s.handshake(t, 1, ""); got != "token-missing-claim" {
		t.Errorf("got %q, want token-missing-claim", got)
	}
	if got := s.fetches.Load(); got != 0 {
		t.Errorf("%d fetches for it, want none", got)
	}
}

func TestUnknownKeyIsFetchedOnce(t *testing.T) { // H31
	t.Parallel()
	s := newSource(t, nil)
	s.expect(t, 2, "token-key-not-found", 1) // the set is as new as it gets
	s.expect(t, 2, "token-key-not-found", 2)
	for range 9 {
		s.advance(time.Second)
		s.expect(t, 3, "token-key-not-found", 2)
	}
	s.advance(time.Second)
	s.expect(t, 3, "token-key-not-found", 3)
	s.expect(t, 1, "", 3)
}

func TestRotatedKeyIsFound(t *testing.T) { // H32
	t.Parallel()
	s := newSource(t, nil)
	s.expect(t, 1, "", 1)
	s.publish(1, 2)
	s.expect(t, 2, "", 2)
}

// H33 at most one fetch is in flight, and those that name the same moment share it.
func TestRandomKeysInParallel(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	s.expect(t, 1, "", 1)
	const handshakes = 100
	var wg sync.WaitGroup
	for i := range handshakes {
		wg.Go(func() {
			if got := s.handshake(t, 1, fmt.Sprint("random ", i)); got != "token-key-not-found" {
				t.Errorf("got %q, want token-key-not-found", got)
			}
		})
	}
	wg.Wait()
	if got := s.fetches.Load(); got != 2 || s.most.Load() != 1 {
		t.Errorf("%d fetches, %d at once, want 2 and 1", got, s.most.Load())
	}
}

// Handshakes that come while the new set is on its way wait for it.
func TestParallelHandshakesShareAFetch(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	s.expect(t, 1, "", 1)
	s.publish(1, 2)
	publish := *s.answer.Load()
	arrived, release := make(chan struct{}), make(chan struct{})
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		close(arrived) // a second fetch would panic
		<-release
		publish(w, r)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := s.handshake(t, 2, token.KeyID(public(2))); got != "" {
				t.Errorf("got %q for the new key", got)
			}
		})
	}
	<-arrived
	s.expect(t, 1, "", 2) // known keys wait for nobody
	close(release)
	wg.Wait()
}

// One handshake fetches the set that is past its time; the others do not wait for it.
func TestStaleKeysDoNotWait(t *testing.T) {
	t.Parallel()
	s := newSource(t, func(o *token.RemoteOptions) { o.Timeout = time.Hour })
	s.expect(t, 1, "", 1)
	s.advance(time.Hour)
	publish := *s.answer.Load()
	arrived, release := make(chan struct{}), make(chan struct{})
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		publish(w, r)
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := s.handshake(t, 1, token.KeyID(public(1))); got != "" {
			t.Errorf("got %q for a known key", got)
		}
	})
	<-arrived
	s.expect(t, 1, "", 2)
	close(release)
	wg.Wait()
}

// A handshake that saw the set before it was fetched, and comes to ask for it when the fetch
// has ended, does not fetch it again.
func TestFetchesThatAreNotNeeded(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		_, _ = w.Write(token.KeySet())
	}))
	t.Cleanup(server.Close)
	remote, err := token.NewRemote(token.RemoteOptions{URL: server.URL, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		remote.Refetch(t.Context(), 0)
	}
	if got := fetches.Load(); got != 1 {
		t.Errorf("%d fetches, want 1", got)
	}
}

func TestKeySetThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	t.Run("H34 never fetched: the token is not to blame", func(t *testing.T) {
		t.Parallel()
		s := newSource(t, nil)
		s.fail()
		s.expect(t, 1, "internal-error", 1)
		s.expect(t, 1, "internal-error", 1)
		s.publish(1)
		s.advance(10 * time.Second)
		s.expect(t, 1, "", 2)
	})
	t.Run("a stale set stays in use", func(t *testing.T) {
		t.Parallel()
		s := newSource(t, nil)
		s.expect(t, 1, "", 1)
		s.fail()
		s.advance(2 * time.Hour)
		s.expect(t, 1, "", 2)
		s.expect(t, 1, "", 2)
		s.expect(t, 2, "internal-error", 2) // nobody can know
		s.advance(10 * time.Second)
		s.publish(2)
		s.expect(t, 2, "", 3)
		s.expect(t, 1, "token-key-not-found", 4)
	})
	answers := map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a long answer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(token.KeySet(token.Key{Public: public(1)}), bytes.Repeat([]byte(" "), 1<<20)...))
		},
		"no answer":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100") },
	}
	for name, answer := range answers {
		t.Run(name+" is no key set", func(t *testing.T) {
			t.Parallel()
			s := newSource(t, func(o *token.RemoteOptions) { o.Timeout = 200 * time.Millisecond })
			s.respond(answer)
			if got := s.handshake(t, 1, token.KeyID(public(1))); got != "internal-error" {
				t.Errorf("got %q, want internal-error", got)
			}
		})
	}
}

func TestKeySetByAGoodURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "keys.json", "file:///etc/passwd", "https://", "http://a b/"} {
		if _, err := token.NewRemote(token.RemoteOptions{URL: address}); err == nil || !strings.Contains(err.Error(), "https://") {
			t.Errorf("%q: got %v, want an error that says what a URL looks like", address, err)
		}
	}
}
