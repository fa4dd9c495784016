// Package timerwheel holds timers that are set and replaced all the time and seldom fire, as the
// timers of connections are: setting, stopping and firing one take constant time, and a timer is four
// words in its owner and nothing beside.
//
// The package reads no clock and starts no goroutine: time is a number of ticks, and the owner of a
// [Wheel] advances it. The timers of one tick fire in no order. Where things wait that are few, that
// must end in order, and whose wheel sleeps until the next one (the graces of webhooks), slots that
// hold slices are the better wheel.
package timerwheel

import "sync"

// slots times the length of a tick is the longest time that a timer waits without being looked at.
const slots = 2048

// Wheel holds timers in slots of one tick. Its methods are safe from any goroutine; the zero Wheel is
// at tick zero.
type Wheel[T any] struct {
	mu    sync.Mutex
	now   uint32 // last tick handled
	slots [slots]*Timer[T]
}

// Timer is the one timer of an owner, in which it lies; the zero Timer is not armed. It belongs to one
// wheel, whose lock guards it.
type Timer[T any] struct {
	owner      *T
	next, prev *Timer[T]
	at         uint32 // tick of expiry, zero when not armed
}

// Set arms t, the timer of owner, for the tick at, in place of what it was armed for; zero disarms it.
func (w *Wheel[T]) Set(t *Timer[T], owner *T, at uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.at != 0 {
		w.unlinkLocked(t)
	}
	if at == 0 {
		return
	}
	at = max(at, w.now+1)
	head := &w.slots[at%slots]
	*t = Timer[T]{owner: owner, next: *head, at: at}
	if *head != nil {
		(*head).prev = t
	}
	*head = t
}

func (w *Wheel[T]) unlinkLocked(t *Timer[T]) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slots[t.at%slots] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	*t = Timer[T]{}
}

// Advance disarms every timer that is due at now, the present tick, and appends its owner to due.
// Ticks that were missed are made up for.
func (w *Wheel[T]) Advance(now uint32, due []*T) []*T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now-w.now > slots { // asleep for a whole round: look at each slot once
		w.now = now - slots
	}
	for w.now < now {
		w.now++
		for t := w.slots[w.now%slots]; t != nil; {
			next := t.next
			if t.at <= now {
				due = append(due, t.owner)
				w.unlinkLocked(t)
			}
			t = next
		}
	}
	return due
}
