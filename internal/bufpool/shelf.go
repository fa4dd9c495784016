package bufpool

import (
	"bytes"
	"hash/maphash"
	"sync"
)

// Shelf finds bytes that are in use already, so that many owners of equal bytes need them
// once. It keeps nothing by itself: a buffer without owners leaves it. The zero Shelf is
// empty. Safe for concurrent use.
type Shelf struct {
	mu    sync.Mutex
	seed  maphash.Seed       // guarded by mu; made with the first buffer
	known map[uint64]*Buffer // by hash of the bytes; guarded by mu
}

// Share lends a buffer of exactly the bytes b, which is never changed: one that has owners
// already, or a copy of b. The caller owns it like one that Get lends.
func (s *Shelf) Share(b []byte) *Buffer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.seed, s.known = maphash.MakeSeed(), make(map[uint64]*Buffer)
	}
	hash := maphash.Bytes(s.seed, b)
	// Its last owner may be releasing it: it is not pooled, so its bytes stay what they are.
	if known := s.known[hash]; known != nil && bytes.Equal(known.B, b) {
		known.Retain()
		return known
	}
	own := &Buffer{B: append(make([]byte, 0, len(b)), b...), shelf: s, hash: hash}
	own.refs.Store(1)
	s.known[hash] = own
	return own
}

// remove takes b off the shelf, unless Share has lent it again in between.
func (s *Shelf) remove(b *Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refs.Load() == 0 && s.known[b.hash] == b {
		delete(s.known, b.hash)
	}
}
