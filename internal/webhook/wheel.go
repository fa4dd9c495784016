package webhook

import (
	"cmp"
	"slices"
	"time"
)

const (
	// wheelTick is how late a grace may end.
	wheelTick  = 100 * time.Millisecond
	wheelSlots = 64
)

// wheel holds the subjects that are gone until their grace is over. A subject is in it at most
// once; one that came back stays until its slot is visited. It is guarded by its owner.
type wheel struct {
	slots [wheelSlots][]*subject
	next  int64 // the tick to visit next
	count int
}

// tickOf is the first tick at which a deadline has passed.
func tickOf(deadline time.Duration) int64 {
	return int64((deadline + wheelTick - 1) / wheelTick)
}

func (w *wheel) add(s *subject, now time.Duration) {
	if w.count == 0 {
		w.next = int64(now / wheelTick)
	}
	w.count++
	s.isWaiting = true
	w.put(s)
}

func (w *wheel) put(s *subject) {
	slot := max(tickOf(s.deadline), w.next) % wheelSlots
	w.slots[slot] = append(w.slots[slot], s)
}

// due takes out, appends to dst and sorts by deadline what is over at now, and what came back.
func (w *wheel) due(now time.Duration, dst []*subject) []*subject {
	last := int64(now / wheelTick)
	w.next = max(w.next, last-wheelSlots+1) // a slot need not be visited twice
	for ; w.next <= last && w.count > 0; w.next++ {
		slot := &w.slots[w.next%wheelSlots]
		waiting := *slot
		*slot = waiting[:0]
		for _, s := range waiting {
			if !s.isPresent && tickOf(s.deadline) > last {
				w.put(s) // another round, or it came back and has gone again
				continue
			}
			s.isWaiting = false
			w.count--
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

// sortByEnd puts subjects that are gone in the order in which that is told.
func sortByEnd(gone []*subject) {
	slices.SortStableFunc(gone, func(a, b *subject) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.id.Kind, b.id.Kind))
	})
}

// idleWait is how long nobody has to look at an empty wheel.
const idleWait = time.Hour

// wait is how long the next visit may wait.
func (w *wheel) wait(now time.Duration) time.Duration {
	if w.count == 0 {
		return idleWait
	}
	tick := w.next
	for tick < w.next+wheelSlots-1 && len(w.slots[tick%wheelSlots]) == 0 {
		tick++
	}
	return max(0, time.Duration(tick)*wheelTick-now)
}
