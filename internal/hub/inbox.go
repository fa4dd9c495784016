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
	signal chan struct{} // one slot, filled when something waits

	mu       sync.Mutex
	items    []item // guarded by mu
	isClosed bool   // guarded by mu; nobody will take again
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
		select {
		case in.signal <- struct{}{}:
		default:
		}
	}
	return true
}

// take returns all that waits and leaves the empty spare in its place. The last take closes
// the inbox.
func (in *inbox) take(spare []item, isLast bool) []item {
	in.mu.Lock()
	defer in.mu.Unlock()
	items := in.items
	in.items = spare
	in.isClosed = in.isClosed || isLast
	return items
}
