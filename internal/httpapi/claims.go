package httpapi

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// Claims remembers which requests have been carried out, for a time (pusher-protocol 5.9).
// Implementations are safe for concurrent use.
type Claims interface {
	// Claim either makes its caller the one who carries out key, or returns the answer that
	// is kept. While somebody else carries it out, it waits until ctx ends: ErrClaimHeld.
	//
	// The ttl is how long the answer is kept, and, where a holder can vanish without a trace,
	// how long his claim holds.
	Claim(ctx context.Context, key string, ttl time.Duration) (c Claim, kept []byte, err error)
}

// Claim is the right to carry out one key. Exactly one of its methods is called, once.
type Claim interface {
	// Keep remembers the answer, of which it makes a copy.
	Keep(ctx context.Context, answer []byte) error
	// Release gives up: the next one who comes with the key carries it out.
	Release(ctx context.Context)
}

// What a Claims refuses with. Any other error means that it could not be asked.
var (
	ErrClaimHeld  = errors.New("httpapi: the key is being carried out by somebody else")
	ErrClaimsFull = errors.New("httpapi: no room for another key")
)

// claimCost is what a remembered key takes besides its text and answer, in bytes.
const claimCost = 256

// usualAnswer is the one that nearly all publishes get; it is kept once.
const usualAnswer = `{}`

// MemoryClaims are the claims of one node. An answer is never forgotten before its time:
// without room for another key, Claim refuses, because a publish that is not remembered may
// happen twice.
type MemoryClaims struct {
	maxKeys  int    // immutable
	maxBytes int64  // immutable
	usual    []byte // usualAnswer; immutable

	mu     sync.Mutex
	claims map[string]*claim // guarded by mu
	bytes  int64             // guarded by mu
	kept   keptClaims        // guarded by mu
}

var _ Claims = (*MemoryClaims)(nil)

// claim is a key that is being carried out, or has been.
type claim struct {
	owner *MemoryClaims
	key   string
	ttl   time.Duration

	// Guarded by owner.mu.
	done   chan struct{} // closed when it is kept or released; nil while nobody waits
	index  int           // in owner.kept; -1: it is being carried out
	ends   time.Time
	answer []byte // immutable
}

// NewMemoryClaims makes room for so many keys and bytes: a million and 256 MB if zero.
func NewMemoryClaims(maxKeys int, maxBytes int64) *MemoryClaims {
	if maxKeys <= 0 {
		maxKeys = 1_000_000
	}
	if maxBytes <= 0 {
		maxBytes = 256 << 20
	}
	return &MemoryClaims{maxKeys: maxKeys, maxBytes: maxBytes, usual: []byte(usualAnswer), claims: make(map[string]*claim)}
}

// Claim implements Claims.
func (m *MemoryClaims) Claim(ctx context.Context, key string, ttl time.Duration) (Claim, []byte, error) {
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

// claim makes a claim, finds what is kept, or returns a channel to wait on.
func (m *MemoryClaims) claim(key string, ttl time.Duration) (_ *claim, kept []byte, done <-chan struct{}, err error) {
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
	size := int64(len(key)) + claimCost
	if len(m.claims) >= m.maxKeys || m.bytes+size > m.maxBytes {
		if m.forgetLocked(now, len(m.kept)); len(m.claims) >= m.maxKeys || m.bytes+size > m.maxBytes {
			return nil, nil, nil, ErrClaimsFull
		}
	}
	c = &claim{owner: m, key: key, ttl: ttl, index: -1}
	m.claims[key] = c
	m.bytes += size
	return c, nil, nil, nil
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
	c.answer, c.ends = kept, time.Now().Add(c.ttl)
	m.bytes += int64(len(kept))
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
	m.bytes -= int64(len(c.key)+len(c.answer)) + claimCost
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
