package socket

import "sync"

// wheelSlots times tick is the longest time that a timer waits without being looked at.
const wheelSlots = 2048

// wheel holds one timer per connection in slots of one tick: arming, disarming and expiry
// are O(1), and a timer costs no memory beyond two links in its Conn.
type wheel struct {
	mu    sync.Mutex
	now   uint32 // last tick handled
	slots [wheelSlots]*Conn
}

// timer is a Conn's place in its wheel; guarded by the wheel's lock.
type timer struct {
	next, prev *Conn
	at         uint32 // tick of expiry, zero when not armed
}

func newWheel() *wheel { return &wheel{} }

// set arms c's timer for the tick at; zero disarms it.
func (w *wheel) set(c *Conn, at uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.timer.at != 0 {
		w.unlinkLocked(c)
	}
	if at == 0 {
		return
	}
	at = max(at, w.now+1)
	head := &w.slots[at%wheelSlots]
	c.timer = timer{next: *head, at: at}
	if *head != nil {
		(*head).timer.prev = c
	}
	*head = c
}

func (w *wheel) unlinkLocked(c *Conn) {
	t := &c.timer
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.at%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	*t = timer{}
}

// advance disarms every timer that is due at now, the present tick, and appends its Conn to
// due. Ticks that were missed are made up for.
func (w *wheel) advance(now uint32, due []*Conn) []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now-w.now > wheelSlots { // asleep for a whole round: look at each slot once
		w.now = now - wheelSlots
	}
	for w.now < now {
		w.now++
		for c := w.slots[w.now%wheelSlots]; c != nil; {
			next := c.timer.next
			if c.timer.at <= now {
				w.unlinkLocked(c)
				due = append(due, c)
			}
			c = next
		}
	}
	return due
}
