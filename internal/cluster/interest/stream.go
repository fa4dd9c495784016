package interest

import "github.com/millrace/millrace/internal/cluster"

// Stream is the serials of a topic, and the ring of its last publications.
type Stream struct {
	id        string
	next      uint64 // of the next publication that is placed
	delivered uint64 // of the last one that was delivered
	isLoading bool
	ring      []*cluster.Publication // the last ones that were delivered
}

// ID is the identity of the stream.
func (s *Stream) ID() string { return s.id }

// Delivered is the serial of the last publication that was delivered.
func (s *Stream) Delivered() uint64 { return s.delivered }

// Place gives a publication the next place in the stream.
func (s *Stream) Place(p *cluster.Publication) {
	p.StreamID, p.Serial = s.id, s.next
	s.next++
}

// TakeBack makes the place of a publication, and all places after it, free again.
func (s *Stream) TakeBack(p *cluster.Publication) { s.next = min(s.next, p.Serial) }

// deliver notes that publications were delivered, of which the ring keeps the last ones.
func (s *Stream) deliver(ps []*cluster.Publication, keep int) {
	s.delivered = ps[len(ps)-1].Serial
	s.ring = append(s.ring, ps...)
	if more := len(s.ring) - keep; more > 0 {
		s.ring = append([]*cluster.Publication(nil), s.ring[more:]...)
	}
}

// Has reports whether the ring has a publication that was delivered.
func (s *Stream) Has(serial uint64) bool { return len(s.ring) > 0 && s.ring[0].Serial <= serial }

// After are the publications of the ring behind a serial; the ring has the first of them.
func (s *Stream) After(serial uint64) []*cluster.Publication {
	return s.ring[serial+1-s.ring[0].Serial:]
}
