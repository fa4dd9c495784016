package idempotency

import (
	"bytes"
	"container/heap"
	"time"
)

// cost is what a remembered key takes besides its text and answer, in bytes.
const cost = 256

// Limits bounds what is remembered. Zero fields mean the default.
type Limits struct {
	Keys        int   // default a million
	Bytes       int64 // of keys and answers; default 256 MB
	BytesPerApp int64 // of them, for one app; default Bytes
	// Usual is the answer that nearly all requests get: its bytes are kept once.
	Usual []byte
}

// State is what a key is when a request comes with it.
type State uint8

// The states of a key.
const (
	First State = iota // no request has carried it out: this one does, and ends that with Keep or Release
	Held               // another request is carrying it out
	Done               // its answer is kept
)

// Claims are the keys that are being carried out, or were.
type Claims struct {
	limits Limits // immutable
	byKey  map[Key]*claim
	bytes  int64
	shares map[string]int64 // what of bytes each app has, by id
	kept   expiries
}

// claim is a key that is being carried out, or has been.
type claim struct {
	key    Key
	ttl    time.Duration
	index  int           // in Claims.kept; -1: it is being carried out
	ends   time.Duration // of an answer
	answer []byte        // immutable
}

// withDefaults is l with defaults in the place of zero fields.
func (l Limits) withDefaults() Limits {
	if l.Keys <= 0 {
		l.Keys = 1_000_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 20
	}
	if l.BytesPerApp <= 0 {
		l.BytesPerApp = l.Bytes
	}
	return l
}

// New makes room for what l says.
func New(l Limits) *Claims {
	return &Claims{limits: l.withDefaults(), byKey: make(map[Key]*claim), shares: make(map[string]int64)}
}

// Claim says what becomes of a request with a key, and which answer it gets if that is kept. The error
// is ErrFull or ErrShareFull.
func (c *Claims) Claim(now time.Duration, key Key, ttl time.Duration) (_ State, answer []byte, err error) {
	c.forget(now, 2) // of the old ones more than come, and never all at once
	if known := c.byKey[key]; known != nil {
		switch {
		case known.isHeld():
			return Held, nil, nil
		case now < known.ends:
			return Done, known.answer, nil
		}
		heap.Remove(&c.kept, known.index)
		c.drop(known)
	}
	size := key.size() + cost
	if c.room(key.App, 1, size) != nil {
		c.forget(now, len(c.kept))
		if err := c.room(key.App, 1, size); err != nil {
			return 0, nil, err
		}
	}
	c.byKey[key] = &claim{key: key, ttl: ttl, index: -1}
	c.count(key.App, size)
	return First, nil, nil
}

// Keep remembers the answer of a key that was being carried out. It makes a copy; without room for
// the answer it remembers the usual one.
func (c *Claims) Keep(now time.Duration, key Key, answer []byte) {
	held := c.byKey[key]
	if held == nil || !held.isHeld() {
		return
	}
	kept := c.limits.Usual
	if !bytes.Equal(answer, kept) && c.room(key.App, 0, int64(len(answer))) == nil {
		kept = bytes.Clone(answer)
	}
	held.answer, held.ends = kept, now+held.ttl
	c.count(key.App, int64(len(kept)))
	heap.Push(&c.kept, held)
}

// Release forgets a key that is being carried out.
func (c *Claims) Release(key Key) {
	if held := c.byKey[key]; held != nil && held.isHeld() {
		c.drop(held)
	}
}

func (c *claim) isHeld() bool { return c.index < 0 }

// Size is how many keys are remembered or being carried out, and what they take in bytes.
func (c *Claims) Size() (keys int, size int64) { return len(c.byKey), c.bytes }

// room reports why there is no room for so many more keys and bytes of an app.
func (c *Claims) room(appID string, keys int, size int64) error {
	switch {
	case len(c.byKey)+keys > c.limits.Keys, c.bytes+size > c.limits.Bytes:
		return ErrFull
	case c.shares[appID]+size > c.limits.BytesPerApp:
		return ErrShareFull
	default:
		return nil
	}
}

func (c *Claims) count(appID string, size int64) {
	c.bytes += size
	if c.shares[appID] += size; c.shares[appID] == 0 {
		delete(c.shares, appID)
	}
}

// forget forgets at most so many claims whose time is over.
func (c *Claims) forget(now time.Duration, most int) {
	for range most {
		if len(c.kept) == 0 || now < c.kept[0].ends {
			return
		}
		c.drop(heap.Pop(&c.kept).(*claim))
	}
}

// drop forgets a claim that is not in kept any more.
func (c *Claims) drop(of *claim) {
	delete(c.byKey, of.key)
	c.count(of.key.App, -of.key.size()-int64(len(of.answer))-cost)
}

func (k Key) size() int64 { return int64(len(k.App) + len(k.Name)) }

// expiries is a heap: the first is the one whose time is over first.
type expiries []*claim

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].ends < e[j].ends }

func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}

// Push implements heap.Interface.
func (e *expiries) Push(c any) {
	c.(*claim).index = len(*e)
	*e = append(*e, c.(*claim))
}

// Pop implements heap.Interface.
func (e *expiries) Pop() any {
	old := *e
	last := len(old) - 1
	c := old[last]
	old[last] = nil
	*e = old[:last]
	return c
}
