package link

import (
	"math/rand/v2"
	"testing"
)

func TestQueueIsFirstInFirstOut(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	var q queue
	in, out := 0, 0
	for range 1000 {
		for range random.IntN(40) {
			q.push(entry{size: in})
			in++
		}
		for range random.IntN(41) {
			if q.length == 0 {
				break
			}
			if got := q.pop(); got.size != out {
				t.Fatalf("got %d, want %d", got.size, out)
			}
			out++
		}
		if q.length != in-out || q.length > 0 && q.at(q.length-1).size != in-1 {
			t.Fatalf("it has %d entries, want %d", q.length, in-out)
		}
	}
}

func TestAQueueKeepsLittleOfWhatItHad(t *testing.T) {
	t.Parallel()
	var q queue
	for n := range 2 * maxIdleRing {
		q.push(entry{size: n + 1})
	}
	for range maxIdleRing {
		q.pop()
	}
	for _, e := range q.ring[:q.head] {
		if e != (entry{}) {
			t.Fatalf("it keeps %v", e)
		}
	}
	for q.length > 0 {
		q.pop()
	}
	if len(q.ring) > maxIdleRing {
		t.Errorf("it keeps a ring of %d", len(q.ring))
	}
}
