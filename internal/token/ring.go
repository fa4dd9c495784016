package token

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// Grace is how long tokens of a primary key stay good after another took its place.
const Grace = 24 * time.Hour

// Ring is a set of configured keys (views 1.11). Safe for concurrent use.
//
// A token is verified with the key that it names. If it names none, or none that is here,
// all keys are tried, the primary first: issuers may call a key what they like.
type Ring struct {
	now func() time.Time

	mu   sync.RWMutex
	keys []Key // guarded by mu; the primary first
}

var _ Keys = (*Ring)(nil)

// NewRing makes a ring of keys. A nil clock is time.Now.
func NewRing(now func() time.Time, keys ...Key) (*Ring, error) {
	if now == nil {
		now = time.Now
	}
	r := &Ring{now: now}
	var errs []error
	for i, k := range keys {
		if slices.ContainsFunc(keys[:i], func(other Key) bool { return k.Primary && other.Primary }) {
			errs = append(errs, fmt.Errorf("token: key %d: another key is the primary; have one", i))
			continue
		}
		if err := r.Add(k); err != nil {
			errs = append(errs, fmt.Errorf("key %d: %w", i, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// Add puts a key in the ring, in the place of one with the same id. A new primary key makes
// the former one a secondary that is good for another 24 hours. Keys past their time go.
func (r *Ring) Add(k Key) error {
	if len(k.Public) != ed25519.PublicKeySize {
		return fmt.Errorf("token: a public key has %d bytes, this one %d", ed25519.PublicKeySize, len(k.Public))
	}
	if k.ID == "" {
		k.ID = KeyID(k.Public)
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.DeleteFunc(r.keys, func(old Key) bool { return old.ID == k.ID || old.isOver(now) })
	if !k.Primary {
		r.keys = append(r.keys, k)
		return nil
	}
	for i := range r.keys {
		if old := &r.keys[i]; old.Primary {
			old.Primary = false
			if end := now.Add(Grace); old.Expires.IsZero() || old.Expires.After(end) {
				old.Expires = end
			}
		}
	}
	r.keys = slices.Insert(r.keys, 0, k)
	return nil
}

// Remove takes the key with this id out at once.
func (r *Ring) Remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.DeleteFunc(r.keys, func(k Key) bool { return k.ID == id })
}

// Live are the keys that are good now, the primary first.
func (r *Ring) Live() []Key {
	now := r.now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(r.keys), func(k Key) bool { return k.isOver(now) })
}

// Find implements Keys.
func (r *Ring) Find(_ context.Context, keyID string) ([]ed25519.PublicKey, *protocol.Issue) {
	now := r.now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) == 0 {
		return nil, protocol.IssueTokenKey.Withf("This server has no key to verify tokens with")
	}
	found := make([]ed25519.PublicKey, 0, len(r.keys))
	for _, k := range r.keys {
		if k.isOver(now) {
			continue
		}
		if keyID != "" && k.ID == keyID {
			return append(found[:0], k.Public), nil
		}
		found = append(found, k.Public)
	}
	return found, nil
}

func (k *Key) isOver(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }
