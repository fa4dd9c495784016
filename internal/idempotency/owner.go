package idempotency

import (
	"context"
	"errors"
	"time"
)

// MaxKey is the longest key of a client, in bytes (pusher 5.9).
const MaxKey = 128

// Key names a request that is carried out once, within an app.
type Key struct{ App, Name string }

// Owner decides about keys. Implementations are safe for concurrent use. A caller must not hold a
// lock over a call: every call may wait for another node.
type Owner interface {
	// Claim either makes its caller the one who carries out key (isFirst), or returns the answer that
	// is kept. While another request carries it out, Claim waits until ctx ends: then it is ErrHeld.
	// ErrFull and ErrShareFull refuse the key; any other error says that the owner could not be
	// asked. Who carries a key out ends that with one call of Keep or Release.
	//
	// The answer is kept for ttl from Keep on. Where a holder can vanish without a trace, its claim
	// holds for as long.
	Claim(ctx context.Context, key Key, ttl time.Duration) (isFirst bool, kept []byte, err error)
	// Keep remembers the answer of a key that was carried out. It makes a copy. Without room for the
	// answer, it remembers the one that nearly all requests get: carrying the key out again is worse.
	Keep(ctx context.Context, key Key, answer []byte) error
	// Release gives up: the next request with the key carries it out.
	Release(ctx context.Context, key Key)
}

// What an Owner refuses with.
var (
	ErrHeld      = errors.New("idempotency: another request is carrying out the key")
	ErrFull      = errors.New("idempotency: no room for another key")
	ErrShareFull = errors.New("idempotency: no room for another key of this app")
)
