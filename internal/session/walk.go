package session

// walkChunk is how many sessions are looked at under one hold of the registry's lock.
const walkChunk = 128

// Walk yields the sessions that are open when it begins. Sessions that end during the walk may be
// missing. Nothing is locked while the caller has one, so that connections come and go.
func (r *Table) Walk() Source {
	return func(yield func(Session) bool) {
		mark := new(Link) // a place in the list; all before it has been yielded
		r.mu.Lock()
		r.linkLocked(mark, nil)
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			r.unlinkLocked(mark)
			r.mu.Unlock()
		}()
		some := make([]Session, 0, walkChunk)
		for isEnd := false; !isEnd; {
			some, isEnd = r.step(mark, some[:0])
			for _, s := range some {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// step moves mark on and appends the sessions that it passes.
func (r *Table) step(mark *Link, some []Session) (_ []Session, isEnd bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := mark
	for range walkChunk {
		if last.next == nil {
			return some, true
		}
		last = last.next
		if last.session != nil { // not the mark of another walk
			some = append(some, last.session)
		}
	}
	r.unlinkLocked(mark)
	r.linkLocked(mark, last)
	return some, false
}

// linkLocked puts l behind another, or to the front of the list.
func (r *Table) linkLocked(l, after *Link) {
	to := &r.first
	if after != nil {
		to = &after.next
	}
	l.prev, l.next = after, *to
	if l.next != nil {
		l.next.prev = l
	}
	*to = l
}

func (r *Table) unlinkLocked(l *Link) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		r.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.prev, l.next = nil, nil
}
