package sim

import "time"

// event is a call at a moment of real time, in one life of a node or in no node.
type event struct {
	at       time.Duration
	sequence uint64 // among events of one moment, the order in which they were planned
	node     *Node  // nil: the world itself
	life     uint64
	due      time.Duration // of a timer: the reading of the node's clock before which it does not fire
	do       func()
}

// isBefore reports whether e comes before other.
func (e *event) isBefore(other *event) bool {
	if e.at != other.at {
		return e.at < other.at
	}
	return e.sequence < other.sequence
}

// queue is a heap of events, the next one first.
type queue []event

// push adds an event.
func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].isBefore(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*q = h
}

// pop removes the next event. The queue is not empty.
func (q *queue) pop() event {
	h := *q
	next := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h[last] = event{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h[child].isBefore(&h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return next
}
