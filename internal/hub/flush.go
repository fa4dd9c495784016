package hub

import "context"

// Flush returns when everything that was received before the call has been handed to the
// connections of its subscribers, written or queued behind what waits there, or with the error of
// ctx when that ends first. What a held or lagging subscription misses is its owner's affair, as
// always. Publishers go on: what is received later is not waited for.
//
// It waits for Run; once Run has ended it returns at once.
func (h *Hub) Flush(ctx context.Context) error {
	marks := make([]chan struct{}, len(h.shards))
	for i, sh := range h.shards {
		marks[i] = sh.inbox.Mark()
	}
	for _, passed := range marks {
		select {
		case <-passed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// markGroups notes how far each group must get before marks, which were taken together with all
// that has come before them, are passed.
func (f *flusher) markGroups(marks []chan struct{}) {
	if len(marks) == 0 {
		return
	}
	f.marks, f.marked = marks, len(f.groups)
	for i := range f.groups {
		f.groups[i].mark = f.groups[i].Last
	}
	f.passMarks()
}

// passMarks lets go those who wait for marks, when every group has got there.
func (f *flusher) passMarks() {
	if f.marked > 0 {
		return
	}
	for _, passed := range f.marks {
		close(passed)
	}
	f.marks = nil
}
