package webhook

import "strings"

// lane is one of the two queues of an endpoint. The official libraries in PHP and Go decrypt the
// events of encrypted channels, and refuse the whole request if one of these has no data to
// decrypt, as no event of such a channel has. In a lane of their own they spoil no request with
// other events, and a receiver that refuses them holds up no other event. All events of one
// channel take the same lane, so they keep their order.
type lane uint8

const (
	laneUsual lane = iota
	laneEncrypted

	numLanes
)

const encryptedPrefix = "private-encrypted-"

func laneOf(channel string) lane {
	if strings.HasPrefix(channel, encryptedPrefix) {
		return laneEncrypted
	}
	return laneUsual
}

// lanes are the queues of one endpoint.
type lanes [numLanes]*queue

func newLanes(e *Engine, app, id string) lanes {
	var all lanes
	for i := range all {
		all[i] = newQueue(e, app, id, lane(i))
	}
	return all
}

func (all *lanes) id() string { return all[laneUsual].id }

func (all *lanes) set(s *settings) {
	for _, q := range all {
		q.set(s)
	}
}

func (all *lanes) retire() {
	for _, q := range all {
		q.retire()
	}
}

// status is that of the endpoint: what waits in both lanes, and the failures of the one that
// fails more.
func (all *lanes) status() Status {
	s := all[laneUsual].status()
	for _, q := range all[laneUsual+1:] {
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
