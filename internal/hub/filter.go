package hub

import (
	"errors"

	"github.com/millrace/millrace/internal/protocol"
)

// ErrFilterMemory is returned when the filters of all subscriptions take as much memory as
// they may: only filters that others have already are to be had. It is also returned to a
// connection with filters of maxOwnFilters, so that a few cannot use up what there is for all.
var ErrFilterMemory = errors.New("hub: too many different filters")

// maxOwnFilters bounds the bytes of the filters of one connection: 35 of the largest that the
// protocol allows by default, or a thousand of a few short names.
const maxOwnFilters = 512 << 10

// SubscribeFiltered is Subscribe for the publications that pass f alone, which is nil for all
// of them. After ErrFilterMemory sub is closed.
func (s *Subscriber) SubscribeFiltered(sub *Subscription, t *protocol.Topic, f *protocol.Filter) error {
	return s.open(sub, t, s.variant, delivers, f)
}

// SubscribeAs is SubscribeFiltered in variant v instead of the one that was given to Attach.
func (s *Subscriber) SubscribeAs(v protocol.Variant, sub *Subscription, t *protocol.Topic, f *protocol.Filter) error {
	return s.open(sub, t, v, delivers, f)
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
	if sub.stateLocked() == closed || sub.isFollowLocked() {
		return nil
	}
	return sub.setFilterLocked(f)
}

func (sub *Subscription) setFilterLocked(f *protocol.Filter) error {
	s, old := sub.subscriber, sub.filteredLocked()
	own := s.filters
	if old != nil {
		own -= uint32(filterSize(old.filter().Filter))
	}
	var to *cohort
	if f != nil {
		if own += uint32(filterSize(f)); own > maxOwnFilters {
			s.shard.hub.metrics.filterRefusals.Inc()
			return ErrFilterMemory
		}
		var err error
		if to, err = s.shard.filterLocked(sub.cohort.list, sub.cohort.variant, f); err != nil {
			return err
		}
	}
	s.filters = own
	sub.enterLocked(to)
	if old != nil {
		s.shard.dropFilterLocked(old)
	}
	return nil
}

// enterLocked makes sub a member of a cohort with a filter, at once or when it is released; with nil
// of the one without.
func (sub *Subscription) enterLocked(to *cohort) {
	switch {
	case sub.stateLocked() == held:
		sub.keptLocked().filtered = to
	case to == nil:
		c := sub.cohort
		sub.moveLocked(c.list.plainLocked(c.variant, c.mode))
	default:
		sub.moveLocked(to)
	}
}

// filteredLocked is the cohort of sub's filter, also while sub is held; nil when it has none.
func (sub *Subscription) filteredLocked() *cohort {
	switch {
	case sub.cohort.isFiltered:
		return sub.cohort
	case sub.hold != nil && sub.hold.kept != nil:
		return sub.hold.kept.filtered
	default:
		return nil
	}
}

// passesLocked reports whether the filter of sub, if it has one, lets p through.
func (sub *Subscription) passesLocked(p *protocol.Publication) bool {
	c := sub.filteredLocked()
	return c == nil || c.filter().Passes(p)
}

// filterLocked finds or makes the cohort of subscriptions of l with filters equal to f, and adds one
// reference.
func (sh *shard) filterLocked(l *list, v protocol.Variant, f *protocol.Filter) (*cohort, error) {
	c := l.findLocked(v, f)
	if c == nil {
		h, size := sh.hub, filterSize(f)
		if h.filterBytes.Add(size) > h.maxFilterBytes {
			h.filterBytes.Add(-size)
			h.metrics.filterRefusals.Inc()
			return nil, ErrFilterMemory
		}
		c = newFilteredCohort(l, v, f)
		l.enlistLocked(c)
	}
	c.filter().refs++
	return c, nil
}

// dropFilterLocked drops one reference of filterLocked, and the cohort with the last one.
func (sh *shard) dropFilterLocked(c *cohort) {
	f := c.filter()
	if f.refs--; f.refs > 0 {
		return
	}
	sh.hub.filterBytes.Add(-filterSize(f.Filter))
	c.delistLocked()
}

// filterSize is what a filter takes that no other subscription shares, about: with its cohort, and
// its places in the index.
func filterSize(f *protocol.Filter) int64 {
	const own, name = 144, 52
	return int64(own + len(f.Names())*name + f.Size())
}
