package known

import (
	"time"

	"github.com/millrace/millrace/internal/log"
)

// BatchID names a batch of mutations within its app.
type BatchID struct{ App, Text string }

// Cost is about how many bytes an id takes.
func (i BatchID) Cost() int {
	const fixed = 192
	return fixed + len(i.App) + len(i.Text)
}

// Batches are the batches of mutations of a partition that were asked for with an id and applied. All of them are stored.
type Batches struct {
	kept  map[BatchID]batch
	order expiries[BatchID]
	size  int // bytes
}

// batch is one of them.
type batch struct {
	seq  string
	ends time.Duration
}

// NewBatches knows none.
func NewBatches() Batches {
	return Batches{kept: make(map[BatchID]batch)}
}

// Apply takes the changes of a batch that are stored.
func (s *Batches) Apply(now time.Duration, app string, c *log.Changes) {
	s.Forget(now)
	if c.ID != "" {
		s.keep(BatchID{app, c.ID}, batch{c.Seq, now + max(time.Duration(c.TTL)*time.Millisecond, keepIDs)})
	}
}

func (s *Batches) keep(i BatchID, b batch) {
	if _, isKept := s.kept[i]; !isKept {
		s.size += i.Cost()
	}
	s.kept[i] = b
	s.order.add(i, b.ends)
}

// Forget forgets ids whose time is over.
func (s *Batches) Forget(now time.Duration) {
	for e, ok := s.order.next(now); ok; e, ok = s.order.next(now) {
		if b, isKept := s.kept[e.key]; isKept && b.ends == e.at {
			delete(s.kept, e.key)
			s.size -= e.key.Cost()
		}
	}
}

// Find is the position of a batch that was applied.
func (s *Batches) Find(i BatchID) (seq string, ok bool) {
	b, ok := s.kept[i]
	return b.seq, ok
}

// Size is how many bytes the ids take.
func (s *Batches) Size() int { return s.size }
