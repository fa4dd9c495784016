package hub

import (
	"sync"

	"github.com/millrace/millrace/internal/protocol"
)

// item is a publication on its way to the subscriptions of one list.
type item struct {
	list *list
	pub  *protocol.Publication
}

// inbox is what waits for one flusher, in order.
type inbox struct {
	signal chan struct{} // one slot, filled when something waits, and at the end

	mu       sync.Mutex
	items    []item          // guarded by mu
	marks    []chan struct{} // of Flush, behind items; guarded by mu
	isClosed bool            // guarded by mu; set once the last flush has taken everything
}

// put appends it, or reports false when the inbox is closed.
//
//millrace:hot BenchmarkBroadcast TestBroadcastAllocs
func (in *inbox) put(it item) bool {
	in.mu.Lock()
	if in.isClosed {
		in.mu.Unlock()
		return false
	}
	in.items = append(in.items, it)
	isFirst := len(in.items) == 1
	in.mu.Unlock()
	if isFirst {
		in.wake()
	}
	return true
}

// wake makes the flusher look at the inbox. It does not wait.
func (in *inbox) wake() {
	select {
	case in.signal <- struct{}{}:
	default:
	}
}

// take returns all that waits and leaves the empty spare in its place. The marks come along if
// the caller has passed those it took before. The last take closes the inbox.
func (in *inbox) take(spare []item, withMarks, isLast bool) (items []item, marks []chan struct{}) {
	in.mu.Lock()
	defer in.mu.Unlock()
	items, in.items = in.items, spare
	if withMarks {
		marks, in.marks = in.marks, nil
	}
	in.isClosed = in.isClosed || isLast
	return items, marks
}
