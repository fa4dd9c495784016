package cluster

import "time"

// Lease is the time in which the owner decides. A committed entry of the term proves it, from before
// the entry was proposed: the voters that have stored the entry heard the owner after that moment, and elect no
// other node for one heartbeat time-out. So it is over before another node's begins, while the clocks of nodes run at
// rates within 20 % of each other.
type Lease struct {
	length        time.Duration // 0.8 heartbeat time-outs
	ends          time.Duration
	proposed      time.Duration // of the last append
	isFromReceipt bool          // a fault
}

// IsValid reports whether the owner may decide.
func (l *Lease) IsValid(now time.Duration) bool { return now < l.ends }

// Proves extends the lease: an entry that was proposed at a moment is committed.
func (l *Lease) Proves(now, proposed time.Duration) {
	if l.isFromReceipt {
		proposed = now
	}
	l.ends = max(l.ends, proposed+l.length)
}

// Next is when an idle owner proposes an entry: twice in the time of a lease.
func (l *Lease) Next() time.Duration { return l.proposed + l.length/2 }

// Proposed notes that the owner proposes an entry now.
func (l *Lease) Proposed(now time.Duration) { l.proposed = now }

// End ends the lease before its time. No entry may be outstanding.
func (l *Lease) End() { l.ends = 0 }

// NewLease is a lease that has not begun, where voters elect no other node for a heartbeat time-out after they have heard the
// owner.
func NewLease(heartbeat time.Duration, f Faults) Lease {
	return Lease{length: heartbeat * 4 / 5, isFromReceipt: f.Has(FaultLeaseFromReceipt)}
}
