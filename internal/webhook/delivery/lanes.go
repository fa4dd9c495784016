package delivery

import "github.com/millrace/millrace/internal/webhook"

// Lanes are the queues of one endpoint.
type Lanes [webhook.NumLanes]*Queue

// NewLanes makes the queues of an endpoint. Set comes before anything is appended.
func (s *Sender) NewLanes(app, endpoint string) Lanes {
	var all Lanes
	for i := range all {
		all[i] = newQueue(s, app, endpoint, webhook.Lane(i))
	}
	return all
}

// ID is the id of the endpoint.
func (all *Lanes) ID() string { return all[webhook.LaneUsual].id }

// Set changes the settings. With another URL, what has failed is tried at once, as if for the
// first time.
func (all *Lanes) Set(s *Settings) {
	for _, q := range all {
		q.set(s)
	}
}

// Retire removes the endpoint. What waits becomes dead letters; a request that is under way is
// given up.
func (all *Lanes) Retire() {
	for _, q := range all {
		q.retire()
	}
}

// Status is how the endpoint does: what waits in both lanes, and the failures of the one that
// fails more.
func (all *Lanes) Status() webhook.Status {
	s := all[webhook.LaneUsual].status()
	for _, q := range all[webhook.LaneUsual+1:] {
		other := q.status()
		s.Events += other.Events
		s.Bytes += other.Bytes
		if s.Oldest.IsZero() || !other.Oldest.IsZero() && other.Oldest.Before(s.Oldest) {
			s.Oldest = other.Oldest
		}
		if other.Failures > s.Failures {
			s.Failures, s.IsBroken, s.LastError, s.RetryAt = other.Failures, other.IsBroken, other.LastError, other.RetryAt
		}
	}
	return s
}
