package limit

import (
	"slices"
	"time"
)

// Reservation takes several bounds in the order of its calls. With the first refusal it
// gives back what it holds, and later calls do nothing; so the steps of an admission are
// written one after the other and Refusal is asked once at the end:
//
//	var r limit.Reservation[string]
//	r.Pass("handshakes_per_ip", handshakes, ip, now, rate)
//	r.Hold("connections_per_ip", connections, ip, max)
//	if refusal := r.Refusal(); refusal != nil { ... }
//
// Events that passed a window stay counted: a window counts attempts. The zero value is
// ready. It is not safe for concurrent use; the quotas and windows are.
type Reservation[K comparable] struct {
	held    []hold[K]
	refusal *Refusal
}

type hold[K comparable] struct {
	quota *Keyed[K]
	key   K
}

// Refusal says which bound refused.
type Refusal struct {
	Name      string
	Max, Used int           // Max with the burst, if it is a window
	Wait      time.Duration // until a window admits again; zero: not a window
}

// Pass counts one event of key in w, if nothing was refused before, and reports whether
// nothing is.
func (r *Reservation[K]) Pass(name string, w *Slidings[K], key K, now time.Time, rate Rate) bool {
	if r.refusal != nil {
		return false
	}
	wait, ok := w.Allow(key, now, rate)
	if !ok {
		bound := int(rate.bound())
		r.refuse(&Refusal{Name: name, Max: bound, Used: w.Used(key, now, rate), Wait: wait})
	}
	return ok
}

// Hold takes one unit of key in q until Release, if nothing was refused before, and reports
// whether nothing is.
func (r *Reservation[K]) Hold(name string, q *Keyed[K], key K, max int) bool {
	if r.refusal != nil {
		return false
	}
	if !q.Acquire(key, max) {
		used := q.Used(key) // a moment later: for people, not for decisions
		if max == None {
			max = 0
		}
		r.refuse(&Refusal{Name: name, Max: max, Used: used})
		return false
	}
	if r.held == nil {
		r.held = make([]hold[K], 0, 4) // a view connection holds as many (views 2)
	}
	r.held = append(r.held, hold[K]{q, key})
	return true
}

// Refusal is the first refusal, nil if there was none.
func (r *Reservation[K]) Refusal() *Refusal { return r.refusal }

// Release gives back, last first, all that is held. A second call does nothing.
func (r *Reservation[K]) Release() {
	for _, h := range slices.Backward(r.held) {
		h.quota.Release(h.key)
	}
	r.held = nil
}

func (r *Reservation[K]) refuse(refusal *Refusal) {
	r.Release()
	r.refusal = refusal
}
