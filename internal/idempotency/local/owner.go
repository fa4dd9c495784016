// Package local is the owner of the idempotency keys of a cluster of one: it serialises what requests
// ask of [idempotency.Claims], has the clock, and lets a request wait for the one that carries out
// its key.
//
// It starts no goroutine. Its lock is a leaf, and is not held while a request waits.
package local

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/locks"
)

// Owner decides about the keys of this node. It is safe for concurrent use. What it knows ends with
// the process.
type Owner struct {
	start time.Time // of the clock; immutable

	mu      locks.Mutex
	claims  *idempotency.Claims               // guarded by mu
	waiting map[idempotency.Key]chan struct{} // closed when the key is not held any more; guarded by mu
}

var _ idempotency.Owner = (*Owner)(nil)

// New makes an owner with room for what l says.
func New(l idempotency.Limits) *Owner {
	return &Owner{start: time.Now(), claims: idempotency.New(l), waiting: map[idempotency.Key]chan struct{}{}}
}

// Claim implements idempotency.Owner.
func (o *Owner) Claim(ctx context.Context, key idempotency.Key, ttl time.Duration) (isFirst bool, kept []byte, err error) {
	for {
		state, kept, held, err := o.claim(key, ttl)
		if err != nil || state != idempotency.Held {
			return state == idempotency.First && err == nil, kept, err
		}
		select {
		case <-held:
		case <-ctx.Done():
			return false, nil, idempotency.ErrHeld
		}
	}
}

// claim asks once, and returns a channel to wait on while the key is held.
func (o *Owner) claim(key idempotency.Key, ttl time.Duration) (_ idempotency.State, kept []byte, held <-chan struct{}, err error) {
	now := time.Since(o.start)
	o.mu.Lock()
	defer o.mu.Unlock()
	state, kept, err := o.claims.Claim(now, key, ttl)
	if err != nil || state != idempotency.Held {
		return state, kept, nil, err
	}
	ended := o.waiting[key]
	if ended == nil {
		ended = make(chan struct{})
		o.waiting[key] = ended
	}
	return state, nil, ended, nil
}

// Keep implements idempotency.Owner.
func (o *Owner) Keep(_ context.Context, key idempotency.Key, answer []byte) error {
	now := time.Since(o.start)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims.Keep(now, key, answer)
	o.wakeLocked(key)
	return nil
}

// Release implements idempotency.Owner.
func (o *Owner) Release(_ context.Context, key idempotency.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims.Release(key)
	o.wakeLocked(key)
}

// wakeLocked lets the requests go on that wait for a key.
func (o *Owner) wakeLocked(key idempotency.Key) {
	if ended := o.waiting[key]; ended != nil {
		close(ended)
		delete(o.waiting, key)
	}
}

// Size is how many keys are remembered or being carried out, and what they take in bytes.
func (o *Owner) Size() (keys int, size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.claims.Size()
}
