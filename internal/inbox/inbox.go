// Package inbox is what waits for a goroutine that takes all of it at once. Many put publications in,
// each for one destination, and never wait. The one that takes them sorts them into chains, one for
// each destination, of which it uses up the front as it gets to it.
//
// The package starts no goroutine and bounds nothing: who puts in has asked for room before. Package
// hub has one inbox for each flusher.
package inbox

import (
	"sync"

	"github.com/millrace/millrace/internal/protocol"
)

// Item is a publication on its way to one destination.
type Item[T any] struct {
	To          T
	Publication *protocol.Publication
}

// Inbox is what waits for one goroutine, in order. The methods but Wait and Take are safe from any.
type Inbox[T any] struct {
	signal chan struct{} // one slot, filled when something waits, and at the end; immutable

	mu       sync.Mutex
	items    []Item[T]       // guarded by mu
	marks    []chan struct{} // behind items; guarded by mu
	isClosed bool            // guarded by mu; set once the last Take has taken everything
}

// Init makes an empty inbox.
func (in *Inbox[T]) Init() { in.signal = make(chan struct{}, 1) }

// Put appends an item, or reports false when the inbox is closed.
//
//millrace:hot BenchmarkPut TestPutAllocs
func (in *Inbox[T]) Put(it Item[T]) bool {
	in.mu.Lock()
	if in.isClosed {
		in.mu.Unlock()
		return false
	}
	in.items = append(in.items, it)
	isFirst := len(in.items) == 1
	in.mu.Unlock()
	if isFirst {
		in.Wake()
	}
	return true
}

// Wake ends Wait. It does not wait.
func (in *Inbox[T]) Wake() {
	select {
	case in.signal <- struct{}{}:
	default:
	}
}

// Wait returns when something may have come.
func (in *Inbox[T]) Wait() { <-in.signal }

// Take returns all that waits and leaves the empty spare in its place. The marks come along if
// the caller has passed those it took before. The last take closes the inbox.
func (in *Inbox[T]) Take(spare []Item[T], withMarks, isLast bool) (items []Item[T], marks []chan struct{}) {
	in.mu.Lock()
	defer in.mu.Unlock()
	items, in.items = in.items, spare
	if withMarks {
		marks, in.marks = in.marks, nil
	}
	in.isClosed = in.isClosed || isLast
	return items, marks
}

// Mark is a place behind all that waits: a channel that its taker closes when it is done with
// everything before it.
func (in *Inbox[T]) Mark() chan struct{} {
	mark := make(chan struct{})
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.isClosed {
		close(mark) // or the last of it is being taken care of
		return mark
	}
	in.marks = append(in.marks, mark)
	in.Wake()
	return mark
}

// Len is how much waits.
func (in *Inbox[T]) Len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.items)
}
