package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrRevocationsFull is returned by Revoke when no more revocations can be remembered.
var ErrRevocationsFull = errors.New("token: too many revocations are in force; change the signing key instead")

// RevocationStore keeps revocations over a restart. It may leave out or delete expired ones.
type RevocationStore interface {
	LoadRevocations(ctx context.Context, now time.Time, fn func(app, id string, until time.Time) error) error
	SaveRevocation(ctx context.Context, app, id string, until time.Time) error
}

// RevocationOptions of a list of revoked tokens. Zero fields mean the default.
type RevocationOptions struct {
	Store   RevocationStore  // default none: kept in memory only
	Max     int              // how many may be in force; default 100,000
	Now     func() time.Time // default time.Now
	Metrics *Metrics         // default unregistered
}

func (o RevocationOptions) withDefaults() RevocationOptions {
	if o.Max <= 0 {
		o.Max = defaultMaxRevocations
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

const (
	defaultMaxRevocations = 100_000
	// retention of a revocation that was given no end (views 1.11).
	retention = 24 * time.Hour
	// purgeInterval bounds how often the list is searched for expired revocations.
	purgeInterval = time.Minute
)

// Revocations are token ids that count no more (views 1.11). Each is forgotten when its
// time is over, which should be when the token expires. Safe for concurrent use; bounded. A
// nil list has nothing in it.
type Revocations struct {
	o RevocationOptions

	mu       sync.RWMutex
	until    map[revocation]time.Time    // guarded by mu
	purged   time.Time                   // guarded by mu
	watchers []func(app, tokenID string) // guarded by mu
}

type revocation struct{ app, id string }

// NewRevocations makes a list that is empty until Load.
func NewRevocations(o RevocationOptions) *Revocations {
	o = o.withDefaults()
	return &Revocations{o: o, until: make(map[revocation]time.Time)}
}

// Load takes over what the store has, even if that is more than the bound.
func (r *Revocations) Load(ctx context.Context) error {
	if r.o.Store == nil {
		return nil
	}
	now := r.o.Now()
	err := r.o.Store.LoadRevocations(ctx, now, func(app, id string, until time.Time) error {
		if until.After(now) {
			r.mu.Lock()
			r.until[revocation{app, id}] = until
			r.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("token: load revocations: %w", err)
	}
	return nil
}

// Revoke ends a token until the given time, for 24 hours if it is zero: it stores that,
// refuses the token from then on, and tells the watchers. After an error nothing has
// changed. Revoking again never shortens.
func (r *Revocations) Revoke(ctx context.Context, app, id string, until time.Time) error {
	now := r.o.Now()
	if until.IsZero() {
		until = now.Add(retention)
	}
	if !until.After(now) {
		return nil // the token has expired, or will have before anybody looks
	}
	key := revocation{app, id}
	if isThere, err := r.prepare(key, until, now); err != nil || isThere {
		return err
	}
	if r.o.Store != nil {
		if err := r.o.Store.SaveRevocation(ctx, app, id, until); err != nil {
			return fmt.Errorf("token: save revocation: %w", err)
		}
	}
	r.mu.Lock()
	if until.After(r.until[key]) {
		r.until[key] = until
	}
	watchers := r.watchers
	r.mu.Unlock()
	r.o.Metrics.revoked.Inc()
	for _, fn := range watchers {
		fn(app, id)
	}
	return nil
}

// prepare makes room and reports whether the revocation is in force for as long already.
func (r *Revocations) prepare(key revocation, until, now time.Time) (isThere bool, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.until[key]; ok && !old.Before(until) {
		return true, nil
	}
	if len(r.until) >= r.o.Max || now.Sub(r.purged) >= purgeInterval {
		r.purgeLocked(now)
	}
	if _, ok := r.until[key]; !ok && len(r.until) >= r.o.Max {
		return false, ErrRevocationsFull
	}
	return false, nil
}

func (r *Revocations) purgeLocked(now time.Time) {
	r.purged = now
	for key, until := range r.until {
		if !until.After(now) {
			delete(r.until, key)
		}
	}
}

// Has reports whether a token is revoked.
func (r *Revocations) Has(app, id string) bool {
	if r == nil {
		return false
	}
	r.mu.RLock()
	until, ok := r.until[revocation{app, id}]
	r.mu.RUnlock()
	return ok && until.After(r.o.Now())
}

// Len is how many revocations are remembered.
func (r *Revocations) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.until)
}

// Watch has fn called, on the goroutine of Revoke, for each revocation from now on. It must
// be called before anything is served.
//
// A caller that registers connections under their token's id must ask Has once more after that:
// the token may have been revoked between the check and the registration.
func (r *Revocations) Watch(fn func(app, id string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers = append(r.watchers, fn)
}
