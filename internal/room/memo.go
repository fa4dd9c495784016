package room

import (
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// memo is what a room remembers beside its members: the last publication that was to be retained,
// and when the subscribers were last told how many they are.
type memo struct {
	retained *protocol.Publication // nil without
	expires  time.Duration         // of retained
	next     time.Duration         // no notice before; of a channel that is not large

	hasNotices bool // subscribers are told
	isTold     bool // they have been, at least once
	isArmed    bool // a notice waits, for which the owner comes back
}

// memo is what is remembered; nothing if that is nil.
func (r *Room) memo() *memo {
	if r.kept == nil || r.kept.more == nil {
		return nil
	}
	return &r.kept.more.memo
}

// NeedsTime reports whether any answer of the room depends on the time. Otherwise the owner need not
// look at its clock.
func (r *Room) NeedsTime() bool { return r.memo() != nil }

// remember finds or makes the memo.
func (r *Room) remember() *memo { return &r.members().others().memo }

// trim forgets what nothing needs.
func (r *Room) trim() {
	if r.kept != nil {
		r.kept.trim()
	}
}

// Retain keeps p instead of what was kept, for ttl from now on.
func (r *Room) Retain(now time.Duration, p *protocol.Publication, ttl time.Duration) {
	m := r.remember()
	m.retained, m.expires = p, now+ttl
}

// Retained is what is kept, nil for nothing, and for how long it still is.
func (r *Room) Retained(now time.Duration) (p *protocol.Publication, remaining time.Duration) {
	m := r.memo()
	if m == nil || m.retained == nil {
		return nil, 0
	}
	if m.expires > now {
		return m.retained, m.expires - now
	}
	m.retained, m.expires = nil, 0
	r.trim()
	return nil, 0
}

// IsRetaining reports whether something is kept, expired or not.
func (r *Room) IsRetaining() bool {
	m := r.memo()
	return m != nil && m.retained != nil
}
