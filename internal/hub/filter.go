package hub

import (
	"errors"

	"github.com/millrace/millrace/internal/protocol"
)

// ErrFilterMemory is returned when the filters of all subscriptions take as much memory as
// they may: only filters that others have already are to be had. It is also returned to a
// connection with filters of maxOwnFilters, so that a few cannot use up what there is for all.
var ErrFilterMemory = errors.New("hub: too many different filters")

// maxOwnFilters bounds the bytes of the filters of one connection: 50 of the largest that the
// protocol allows by default, or thousands of a few short names.
const maxOwnFilters = 512 << 10

// filter is what the subscriptions of one list share that have equal filters. It exists while
// there are any.
type filter struct {
	*protocol.Filter // immutable

	// Guarded by the shard's mu.
	list *list
	refs int
	cuts [protocol.NumVariants]cut
}

// cut is what a round of the flusher lets through: decided by the first subscription that is
// delivered to, and the same for all others.
type cut struct {
	round       uint64 // of the flusher; another one says nothing
	first, last int32  // of flusher.parts
	frames      int
}

// filterKey tells the filters of a shard apart.
type filterKey struct {
	list *list
	key  string
}

// SubscribeFiltered is Subscribe for the publications that pass f alone, which is nil for all
// of them. After ErrFilterMemory sub is closed.
func (s *Subscriber) SubscribeFiltered(sub *Subscription, t *protocol.Topic, f *protocol.Filter) error {
	return s.open(sub, t, delivers, f)
}

// SetFilter replaces the filter of sub, nil for none; between two publications, in the order
// of delivery: those held are later ones. When it returns, no frame is queued any more that
// passed only the former filter, and from then on none is left out that passes f. After
// ErrFilterMemory the former filter stays. It is not for subscriptions made by Follow; on one
// that is closed it does nothing.
func (sub *Subscription) SetFilter(f *protocol.Filter) error {
	s := sub.subscriber
	if s == nil {
		return nil
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if sub.state == closed || sub.isFollow {
		return nil
	}
	return sub.setFilterLocked(f)
}

func (sub *Subscription) setFilterLocked(f *protocol.Filter) error {
	s, old := sub.subscriber, sub.filterLocked()
	sh, before := s.shard, uint32(0)
	if old != nil {
		before = uint32(filterSize(old.Filter))
	}
	if f == nil {
		if old == nil {
			return nil
		}
		s.filters -= before
		sh.dropFilterLocked(old)
		if sub.hold.filter = nil; sub.state != held {
			sub.hold = nil
		}
		if sub.state == filtered {
			sub.state = live
		}
		return nil
	}
	after := s.filters - before + uint32(filterSize(f))
	if after > maxOwnFilters {
		sh.hub.metrics.filterRefusals.Inc()
		return ErrFilterMemory
	}
	shared, err := sh.filterOfLocked(sub.list, f)
	if err != nil {
		return err
	}
	s.filters = after
	if sub.hold == nil {
		sub.hold = new(hold)
	}
	sub.hold.filter = shared
	if old != nil {
		sh.dropFilterLocked(old)
	}
	if sub.state == live {
		sub.state = filtered
	}
	return nil
}

func (sub *Subscription) filterLocked() *filter {
	if sub.hold == nil {
		return nil
	}
	return sub.hold.filter
}

// passesLocked reports whether the filter of sub, if it has one, lets p through.
func (sub *Subscription) passesLocked(p *protocol.Publication) bool {
	f := sub.filterLocked()
	return f == nil || f.Passes(p)
}

// filterOfLocked finds or makes what subscriptions of l with filters equal to f share, and adds
// one reference.
func (sh *shard) filterOfLocked(l *list, f *protocol.Filter) (*filter, error) {
	key := filterKey{l, f.Key()}
	if shared := sh.filters[key]; shared != nil {
		shared.refs++
		return shared, nil
	}
	h, size := sh.hub, filterSize(f)
	if h.filterBytes.Add(size) > h.maxFilterBytes {
		h.filterBytes.Add(-size)
		h.metrics.filterRefusals.Inc()
		return nil, ErrFilterMemory
	}
	if sh.filters == nil {
		sh.filters = make(map[filterKey]*filter)
	}
	shared := &filter{Filter: f, list: l, refs: 1}
	sh.filters[key] = shared
	return shared, nil
}

// dropFilterLocked drops one reference of filterOfLocked, and the filter with the last one.
func (sh *shard) dropFilterLocked(f *filter) {
	if f.refs--; f.refs > 0 {
		return
	}
	sh.hub.filterBytes.Add(-filterSize(f.Filter))
	delete(sh.filters, filterKey{f.list, f.Key()})
	if len(sh.filters) == 0 {
		sh.filters = nil // a map never shrinks
	}
}

// filterSize is what a filter takes that nobody shares.
func filterSize(f *protocol.Filter) int64 {
	const own = 160 // filter, and its place in the map
	return int64(own + f.Size())
}

// addFilteredLocked adds what the filter of sub lets through of g.
//
//millrace:hot BenchmarkFiltered TestFilteredAllocs
func (f *flusher) addFilteredLocked(g *group, sub *Subscription) {
	shared, v := sub.hold.filter, sub.subscriber.variant
	c := &shared.cuts[v]
	if c.round != f.number {
		if shared.refs == 1 || len(f.parts) >= maxScratch { // nobody to share with, or too much to keep
			f.addWantedLocked(g, sub)
			return
		}
		first := len(f.parts)
		*c = cut{round: f.number, first: int32(first)}
		f.parts, c.frames = f.appendParts(f.parts, g, f.runOf(g, v), shared.Passes)
		c.last = int32(len(f.parts))
	}
	f.segs = append(f.segs, f.parts[c.first:c.last]...)
	f.frames += c.frames
	f.suppressed += g.frames - c.frames
}
