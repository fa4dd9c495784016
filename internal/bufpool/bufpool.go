// Package bufpool lends byte buffers by size class and counts their owners.
//
// One rule: a [Buffer] starts with one owner; a function that keeps it after it returns calls
// Retain, and every owner calls Release once. After the last Release the bytes belong to the pool
// and must not be read. Bytes that more than one owner can see are never changed.
package bufpool

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	minClass = 9  // 512 B
	maxClass = 22 // 4 MiB; larger buffers are not kept
)

var pools [maxClass + 1]sync.Pool

// Buffer is a counted byte buffer. B may be appended to while there is one owner.
type Buffer struct {
	B    []byte
	refs atomic.Int32
	// IsForOne says that at most one owner will keep the buffer for long: a small part of it may as well be
	// copied. Get leaves it false; it is set while there is one owner.
	IsForOne bool

	shelf *Shelf // that lent it; nil: the pools did
	hash  uint64 // of B on the shelf
}

// class is the size class of the smallest buffers with room for n bytes.
func class(n int) int { return max(bits.Len(uint(max(n, 1)-1)), minClass) }

// Room is how many bytes a buffer has room for that is asked for n.
func Room(n int) int {
	if c := class(n); c <= maxClass {
		return 1 << c
	}
	return n
}

// Get lends an empty buffer with room for at least n bytes and one owner.
func Get(n int) *Buffer {
	c := class(n)
	if c > maxClass {
		b := &Buffer{B: make([]byte, 0, n)}
		b.refs.Store(1)
		return b
	}
	b, _ := pools[c].Get().(*Buffer)
	if b == nil {
		b = &Buffer{B: make([]byte, 0, 1<<c)}
	}
	b.refs.Store(1)
	b.IsForOne = false
	return b
}

// Retain adds an owner.
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release drops one owner; the last one gives the bytes back to the pool.
func (b *Buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n > 0:
	case n < 0:
		panic("bufpool: buffer released more often than retained")
	case b.shelf != nil:
		b.shelf.remove(b)
	default:
		// A buffer that grew belongs to the class it grew to: the greatest that it fills.
		c := bits.Len(uint(cap(b.B))) - 1
		if c >= minClass && cap(b.B) <= 1<<maxClass {
			b.B = b.B[:0]
			pools[c].Put(b)
		}
	}
}

// Segment is a run of whole frames within a buffer.
type Segment struct {
	Buf        *Buffer
	Start, End int // bytes Buf.B[Start:End]
	Frames     int // how many frames these bytes hold
}

// Bytes is the run itself, valid while the buffer is owned.
func (s Segment) Bytes() []byte { return s.Buf.B[s.Start:s.End] }
