package httpapi

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/locks"
)

// Claims remembers which requests have been carried out, for a time (pusher 5.9).
// Implementations are safe for concurrent use.
type Claims interface {
	// Claim either makes its caller the one who carries out key, or returns the answer that
	// is kept. While another request carries it out, it waits until ctx ends: ErrClaimHeld.
	//
	// The ttl is how long the answer is kept, and, where a holder can vanish without a trace,
	// how long his claim holds.
	Claim(ctx context.Context, key ClaimKey, ttl time.Duration) (c Claim, kept []byte, err error)
}

// ClaimKey names a request that is carried out once, within an app.
type ClaimKey struct{ App, Name string }

func (k ClaimKey) size() int64 { return int64(len(k.App) + len(k.Name)) }

// Claim is the right to carry out one key. Exactly one of its methods is called, once.
type Claim interface {
	// Keep remembers the answer, of which it makes a copy. Without room for it, the answer that
	// nearly all publishes get is remembered in its place: carrying the key out again is worse.
	Keep(ctx context.Context, answer []byte) error
	// Release gives up: the next one who comes with the key carries it out.
	Release(ctx context.Context)
}

// What a Claims refuses with. Any other error means that it could not be asked.
var (
	ErrClaimHeld  = errors.New("httpapi: the key is being carried out by somebody else")
	ErrClaimsFull = errors.New("httpapi: no room for another key")
	ErrShareFull  = errors.New("httpapi: no room for another key of this app")
)

// claimCost is what a remembered key takes besides its text and answer, in bytes.
const claimCost = 256

// usualAnswer is the one that nearly all publishes get; it is kept once.
const usualAnswer = `{}`

// ClaimLimits bounds the remembered answers. Zero fields mean the default.
type ClaimLimits struct {
	Keys        int   // default a million
	Bytes       int64 // of keys and answers; default 256 MB
	BytesPerApp int64 // of them, for one app; default Bytes
}

// MemoryClaims are the claims of one node. An answer is never forgotten before its time:
// without room for another key, Claim refuses, because a publish that is not remembered may
// happen twice.
type MemoryClaims struct {
	limits ClaimLimits // immutable
	usual  []byte      // usualAnswer; immutable

	mu     locks.Mutex
	claims map[ClaimKey]*claim // guarded by mu
	bytes  int64               // guarded by mu
	shares map[string]int64    // what of bytes each app has, by id; guarded by mu
	kept   keptClaims          // guarded by mu
}

var _ Claims = (*MemoryClaims)(nil)

// claim is a key that is being carried out, or has been.
type claim struct {
	owner *MemoryClaims
	key   ClaimKey
	ttl   time.Duration

	// Guarded by owner.mu.
	done   chan struct{} // closed when it is kept or released; nil while no request waits
	index  int           // in owner.kept; -1: it is being carried out
	ends   time.Time
	answer []byte // immutable
}

// NewMemoryClaims makes room for what l says.
func NewMemoryClaims(l ClaimLimits) *MemoryClaims {
	if l.Keys <= 0 {
		l.Keys = 1_000_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 20
	}
	if l.BytesPerApp <= 0 {
		l.BytesPerApp = l.Bytes
	}
	return &MemoryClaims{
		limits: l, usual: []byte(usualAnswer), claims: make(map[ClaimKey]*claim), shares: make(map[string]int64),
	}
}

// Claim implements Claims.
func (m *MemoryClaims) Claim(ctx context.Context, key ClaimKey, ttl time.Duration) (Claim, []byte, error) {
	for {
		c, kept, done, err := m.claim(key, ttl)
		if err != nil {
			return nil, nil, err
		}
		if c != nil {
			return c, nil, nil
		}
		if done == nil {
			return nil, kept, nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, nil, ErrClaimHeld
		}
	}
}

// claim makes a claim, finds the kept answer, or returns a channel to wait on.
func (m *MemoryClaims) claim(key ClaimKey, ttl time.Duration) (_ *claim, kept []byte, done <-chan struct{}, err error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(now, 2) // of the old ones more than come, and never all at once
	c := m.claims[key]
	switch {
	case c == nil:
	case c.index < 0:
		if c.done == nil {
			c.done = make(chan struct{})
		}
		return nil, nil, c.done, nil
	case now.Before(c.ends):
		return nil, c.answer, nil, nil
	default:
		heap.Remove(&m.kept, c.index)
		m.dropLocked(c)
	}
	size := key.size() + claimCost
	if m.roomLocked(key.App, 1, size) != nil {
		m.forgetLocked(now, len(m.kept))
		if err := m.roomLocked(key.App, 1, size); err != nil {
			return nil, nil, nil, err
		}
	}
	c = &claim{owner: m, key: key, ttl: ttl, index: -1}
	m.claims[key] = c
	m.countLocked(key.App, size)
	return c, nil, nil, nil
}

// roomLocked reports why there is no room for so many more keys and bytes of an app.
func (m *MemoryClaims) roomLocked(appID string, keys int, bytes int64) error {
	switch {
	case len(m.claims)+keys > m.limits.Keys, m.bytes+bytes > m.limits.Bytes:
		return ErrClaimsFull
	case m.shares[appID]+bytes > m.limits.BytesPerApp:
		return ErrShareFull
	default:
		return nil
	}
}

func (m *MemoryClaims) countLocked(appID string, bytes int64) {
	m.bytes += bytes
	if m.shares[appID] += bytes; m.shares[appID] == 0 {
		delete(m.shares, appID)
	}
}

// Len is how many keys are remembered or being carried out, and what they take in bytes.
func (m *MemoryClaims) Len() (keys int, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.claims), m.bytes
}

// Keep implements Claim.
func (c *claim) Keep(_ context.Context, answer []byte) error {
	m := c.owner
	kept := m.usual
	if string(answer) != usualAnswer {
		kept = bytes.Clone(answer)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.roomLocked(c.key.App, 0, int64(len(kept))) != nil {
		kept = m.usual
	}
	c.answer, c.ends = kept, time.Now().Add(c.ttl)
	m.countLocked(c.key.App, int64(len(kept)))
	heap.Push(&m.kept, c)
	c.wakeLocked()
	return nil
}

// Release implements Claim.
func (c *claim) Release(context.Context) {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.owner.dropLocked(c)
	c.wakeLocked()
}

func (c *claim) wakeLocked() {
	if c.done != nil {
		close(c.done)
		c.done = nil
	}
}

// forgetLocked forgets at most so many claims whose time is over.
func (m *MemoryClaims) forgetLocked(now time.Time, most int) {
	for range most {
		if len(m.kept) == 0 || now.Before(m.kept[0].ends) {
			return
		}
		m.dropLocked(heap.Pop(&m.kept).(*claim))
	}
}

func (m *MemoryClaims) dropLocked(c *claim) {
	delete(m.claims, c.key)
	m.countLocked(c.key.App, -c.key.size()-int64(len(c.answer))-claimCost)
}

// keptClaims is a heap: the first is the one whose time is over first.
type keptClaims []*claim

func (k keptClaims) Len() int           { return len(k) }
func (k keptClaims) Less(i, j int) bool { return k[i].ends.Before(k[j].ends) }

func (k keptClaims) Swap(i, j int) {
	k[i], k[j] = k[j], k[i]
	k[i].index, k[j].index = i, j
}

// Push implements heap.Interface.
func (k *keptClaims) Push(c any) {
	c.(*claim).index = len(*k)
	*k = append(*k, c.(*claim))
}

// Pop implements heap.Interface.
func (k *keptClaims) Pop() any {
	old := *k
	last := len(old) - 1
	c := old[last]
	old[last] = nil
	*k = old[:last]
	return c
}
