package limit

import "sync"

// Keyed is one [Quota] for each key, such as the connections of each address. A key that
// holds nothing costs nothing. The zero value is ready. Safe for concurrent use, and exact:
// check and registration are one step.
type Keyed[K comparable] struct {
	mu   sync.Mutex
	used map[K]int64 // guarded by mu; every value is above zero
}

// Acquire takes one unit of key and reports true unless max are in use. Every true is paid
// back by one Release. The maximum may differ from call to call; units are counted whether
// there is one or not.
//
//millrace:hot BenchmarkKeyed TestHotPathsDoNotAllocate
func (q *Keyed[K]) Acquire(key K, max int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.used[key]
	if isFull(n, max) {
		return false
	}
	if q.used == nil {
		q.used = make(map[K]int64)
	}
	q.used[key] = n + 1
	return true
}

// Release gives one unit of key back.
func (q *Keyed[K]) Release(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch n := q.used[key]; n {
	case 0:
		panic("limit: keyed quota released more often than acquired")
	case 1:
		delete(q.used, key)
	default:
		q.used[key] = n - 1
	}
}

// Used is how many units of key are in use.
func (q *Keyed[K]) Used(key K) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.used[key])
}

// Len is how many keys hold something.
func (q *Keyed[K]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.used)
}
