package token

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/millrace/millrace/internal/protocol"
)

// RemoteOptions of a key set by URL. URL is required; other zero fields mean the default.
type RemoteOptions struct {
	URL         string            // of the JWKS document, http or https
	TTL         time.Duration     // how long a fetched set is good; default 1 h
	MinInterval time.Duration     // between fetches after one that failed or that an unknown key asked for; default 10 s
	Timeout     time.Duration     // of a fetch; default 5 s
	Transport   http.RoundTripper // default one that keeps no connection open
	Now         func() time.Time  // default time.Now
	Log         *slog.Logger      // default none
	Metrics     *Metrics          // default unregistered
}

func (o RemoteOptions) withDefaults() RemoteOptions {
	if o.Transport == nil {
		// One fetch an hour: a connection kept open would only go stale.
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	}
	setDefault(&o.TTL, time.Hour)
	setDefault(&o.MinInterval, 10*time.Second)
	setDefault(&o.Timeout, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// maxKeySet is how long a JWKS document may be.
const maxKeySet = 1 << 20

// Remote is a key set that is fetched by URL (views 1.11). Safe for concurrent use.
//
// Invariants: at most one fetch is in flight; unknown keys cause at most one fetch per
// MinInterval, however many tokens name them; a set that was fetched is used until another
// takes its place, past its time too if the source fails.
type Remote struct {
	o      RemoteOptions
	client http.Client
	flight singleflight.Group

	mu    sync.Mutex
	state keySetState // guarded by mu
}

// keySetState is the last known state of the source. The map is never written to.
type keySetState struct {
	keys      map[string]ed25519.PublicKey // nil: never fetched
	fetched   time.Time
	attempts  uint64    // that have ended
	notBefore time.Time // no fetch earlier than this
	isBusy    bool      // a fetch is in flight
	isFailing bool      // the last attempt failed
}

var _ Keys = (*Remote)(nil)

// NewRemote makes a key set; it is fetched when the first token needs it.
func NewRemote(o RemoteOptions) (*Remote, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("token: key set: %q is not a URL that begins with https:// or http://", o.URL)
	}
	o = o.withDefaults()
	return &Remote{o: o, client: http.Client{Transport: o.Transport, Timeout: o.Timeout, CheckRedirect: checkRedirect}}, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// checkRedirect keeps keys from coming over a connection that anybody can write to, unless
// it was configured so.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("more than 5 redirects")
	}
	if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errors.New("redirected from https to " + r.URL.Scheme)
	}
	return nil
}

// Find implements Keys. It waits for a fetch if the key is not known, or if it was fetched too
// long ago and no other call is fetching.
func (r *Remote) Find(ctx context.Context, keyID string) ([]ed25519.PublicKey, *protocol.Issue) {
	if keyID == "" {
		return nil, protocol.IssueTokenClaim.Withf("The header of the token has no kid; name the key that it is signed with")
	}
	s := r.current()
	now := r.o.Now()
	isFresh := s.keys != nil && now.Sub(s.fetched) < r.o.TTL
	if key := s.keys[keyID]; key != nil && (isFresh || s.isBusy || now.Before(s.notBefore)) {
		return []ed25519.PublicKey{key}, nil
	}
	r.refetch(ctx, s.attempts, isFresh)
	s = r.current()
	switch key := s.keys[keyID]; {
	case key != nil:
		return []ed25519.PublicKey{key}, nil
	case s.keys == nil || s.isFailing:
		return nil, protocol.IssueInternal.Withf("The keys that tokens are verified with cannot be fetched; try again later")
	default:
		return nil, protocol.IssueTokenKey
	}
}

func (r *Remote) current() keySetState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// refetch fetches the set unless that was done since the caller saw so many attempts, or it
// is too early. Flights are told apart by that number, so that a caller that saw the latest set does
// not join a flight that turns back because its leader had not.
func (r *Remote) refetch(ctx context.Context, seen uint64, isExtra bool) {
	_, _, _ = r.flight.Do(strconv.FormatUint(seen, 10), func() (any, error) {
		if !r.begin(seen) {
			return nil, nil
		}
		// The others in the flight wait for it too: it must not end with its leader.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.Timeout)
		defer cancel()
		keys, err := r.fetch(ctx)
		r.end(keys, err, isExtra)
		return nil, nil
	})
}

func (r *Remote) begin(seen uint64) bool {
	now := r.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.attempts != seen || now.Before(r.state.notBefore) {
		return false
	}
	r.state.isBusy = true
	return true
}

func (r *Remote) end(keys map[string]ed25519.PublicKey, err error, isExtra bool) {
	now := r.o.Now()
	result := fetchOK
	r.mu.Lock()
	s := &r.state
	s.attempts++
	s.isBusy, s.isFailing = false, err != nil
	if err == nil {
		s.keys, s.fetched = keys, now
	}
	if err != nil || isExtra {
		s.notBefore = now.Add(r.o.MinInterval)
	}
	r.mu.Unlock()
	if err != nil {
		result = fetchFailed
		r.o.Log.Warn("key set fetch failed", "err", err)
	}
	r.o.Metrics.fetches.WithLabelValues(string(result)).Inc()
}

func (r *Remote) fetch(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.o.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("key set: status %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("key set: longer than %d bytes", maxKeySet)
	}
	keys, err := parseKeySet(text)
	if err != nil {
		return nil, fmt.Errorf("key set: not a JWKS document: %w", err)
	}
	return keys, nil
}
