package link

import "github.com/millrace/millrace/internal/cluster"

// entry is a message that waits, and how much it counts.
type entry struct {
	message cluster.Message
	size    int
}

// queue is a ring of entries. Its zero value is empty.
type queue struct {
	ring   []entry // its length is a power of two
	head   int
	length int
}

const (
	minRing = 16
	// maxIdleRing is the largest ring that an empty queue keeps.
	maxIdleRing = 1024
)

// at is the entry at a place, from the front.
func (q *queue) at(i int) *entry { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

// push appends an entry.
func (q *queue) push(e entry) {
	if q.length == len(q.ring) {
		q.grow()
	}
	q.length++
	*q.at(q.length - 1) = e
}

// grow doubles the ring.
func (q *queue) grow() {
	ring := make([]entry, max(minRing, 2*len(q.ring)))
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

// pop removes the first entry.
func (q *queue) pop() entry {
	e := *q.at(0)
	*q.at(0) = entry{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.length--
	if q.length == 0 && len(q.ring) > maxIdleRing {
		*q = queue{}
	}
	return e
}
