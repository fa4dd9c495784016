package hub

import (
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/protocol"
)

// Delivery is how publications reach a subscription.
type Delivery struct {
	Conn
	Codecs  *frames.Codecs
	Variant protocol.Variant
	Filter  *protocol.Filter // nil: all are wanted
}

// Delivery is for publications of the past, which the owner of sub writes itself while sub is held; false if it
// is not.
func (sub *Subscription) Delivery() (d Delivery, isHeld bool) {
	s := sub.subscriber
	if s == nil {
		return d, false
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.stateLocked() != held {
		return d, false
	}
	d = Delivery{Conn: s.conn, Codecs: s.shard.hub.codecs, Variant: sub.cohort.variant}
	if c := sub.filteredLocked(); c != nil {
		d.Filter = c.filter().Filter
	}
	return d, true
}
