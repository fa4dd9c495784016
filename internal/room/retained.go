package room

import (
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// retained is the last publication that was to be kept, until it expires.
type retained struct {
	publication *protocol.Publication
	expires     time.Duration
}

// Retain keeps p instead of what was kept, for ttl from now on.
func (r *Room) Retain(now time.Duration, p *protocol.Publication, ttl time.Duration) {
	k := r.keep()
	if k.retained == nil {
		k.retained = new(retained)
	}
	*k.retained = retained{p, now + ttl}
}

// Retained is what is kept, nil for nothing, and for how long it still is.
func (r *Room) Retained(now time.Duration) (p *protocol.Publication, remaining time.Duration) {
	if r.kept == nil || r.kept.retained == nil {
		return nil, 0
	}
	if remaining = r.kept.retained.expires - now; remaining <= 0 {
		r.kept.retained = nil
		return nil, 0
	}
	return r.kept.retained.publication, remaining
}
