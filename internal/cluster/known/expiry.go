package known

import (
	"container/heap"
	"time"
)

// expiries are what is kept until a time. The first of byEnd ends first.
type expiries[K comparable] struct{ byEnd ends[K] }

// end is when a key may be forgotten. A key whose time was extended has another end.
type end[K comparable] struct {
	key K
	at  time.Duration
}

func (e *expiries[K]) add(key K, at time.Duration) { heap.Push(&e.byEnd, end[K]{key, at}) }

// next takes the next key whose time is over.
func (e *expiries[K]) next(now time.Duration) (first end[K], ok bool) {
	if len(e.byEnd) == 0 || e.byEnd[0].at > now {
		return first, false
	}
	return heap.Pop(&e.byEnd).(end[K]), true
}

// ends is a heap.
type ends[K comparable] []end[K]

func (e ends[K]) Len() int           { return len(e) }
func (e ends[K]) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends[K]) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *ends[K]) Push(x any) { *e = append(*e, x.(end[K])) }

// Pop implements heap.Interface.
func (e *ends[K]) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
