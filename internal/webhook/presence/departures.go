package presence

import (
	"cmp"
	"slices"
	"time"
)

const (
	// tick is how late a grace may end.
	tick  = 100 * time.Millisecond
	slots = 64
)

// departures hold the subjects that are gone until their grace is over, by the tick at which it is.
// A subject is in it at most once; one that came back stays until its slot is visited, so that a
// storm of leaves and returns costs no search. What is due comes sorted by the end of the grace,
// which is the order in which it is told. The wheel of package timerwheel differs in all of this: it
// disarms at once, in no order, and its timers are part of their connections. The owner's lock
// guards departures.
type departures struct {
	bySlot [slots][]*subject
	next   int64 // the tick to visit next
	count  int
}

// tickOf is the first tick at which a deadline has passed.
func tickOf(deadline time.Duration) int64 {
	return int64((deadline + tick - 1) / tick)
}

func (d *departures) add(s *subject, now time.Duration) {
	if d.count == 0 {
		d.next = int64(now / tick)
	}
	d.count++
	s.isWaiting = true
	d.put(s)
}

func (d *departures) put(s *subject) {
	slot := max(tickOf(s.deadline), d.next) % slots
	d.bySlot[slot] = append(d.bySlot[slot], s)
}

// due takes out, appends to dst and sorts by deadline what is over at now, and what came back.
func (d *departures) due(now time.Duration, dst []*subject) []*subject {
	last := int64(now / tick)
	d.next = max(d.next, last-slots+1) // a slot need not be visited twice
	for ; d.next <= last && d.count > 0; d.next++ {
		slot := &d.bySlot[d.next%slots]
		waiting := *slot
		*slot = waiting[:0]
		for _, s := range waiting {
			if !s.isPresent && tickOf(s.deadline) > last {
				d.put(s) // another round, or it came back and has gone again
				continue
			}
			s.isWaiting = false
			d.count--
			dst = append(dst, s)
		}
		clear(waiting[len(*slot):])
		if len(*slot) == 0 {
			*slot = nil // a storm leaves no memory behind
		}
	}
	sortByEnd(dst)
	return dst
}

// sortByEnd puts subjects that are gone in the order in which they are told.
func sortByEnd(gone []*subject) {
	slices.SortStableFunc(gone, func(a, b *subject) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.id.Kind, b.id.Kind))
	})
}

// wait is how long the next visit may wait.
func (d *departures) wait(now time.Duration) time.Duration {
	if d.count == 0 {
		return idleWait
	}
	next := d.next
	for next < d.next+slots-1 && len(d.bySlot[next%slots]) == 0 {
		next++
	}
	return max(0, time.Duration(next)*tick-now)
}
