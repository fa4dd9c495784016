package entity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

const (
	maxTag  = 999_999
	maxRuns = 1000 // that are remembered, the newest
)

// Run is one start of a store: the positions from First, a slot, to Last are its own. The
// first six digits of their index are its Tag, a random number, so that two servers that began
// with copies of one store, and two starts without a store, give out different positions. Tag
// 0 is the tag of everything from before there were tags.
type Run struct {
	Tag   uint64
	First uint64
	Last  Seq // its number is 0 until something has changed
}

// has reports whether s was given out by r, or could have been between two that were.
func (r *Run) has(s Seq) bool {
	return s.Tag() == r.Tag && s.number() > 0 && s.Slot >= r.First && s.Compare(r.Last) <= 0
}

// runs are those whose positions mean something to this store. Safe for concurrent use.
type runs struct {
	mu      sync.RWMutex
	byTag   map[uint64]Run // guarded by mu, the present one included
	present uint64         // its tag; guarded by mu
}

func (rs *runs) know(s Seq) bool {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	r, ok := rs.byTag[s.Tag()]
	return ok && r.has(s)
}

// reach notes the last stored change, which need not be of the present run.
func (rs *runs) reach(s Seq) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.byTag[rs.present]; s.Tag() == r.Tag && s.Compare(r.Last) > 0 {
		r.Last = s
		rs.byTag[r.Tag] = r
	}
}

// restore takes in the runs of a store whose last change is last. A run is stored when it
// begins, so how far the run of that change came shows only now.
func (rs *runs) restore(stored []Run, last Seq) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.byTag = make(map[uint64]Run, len(stored)+1)
	if len(stored) == 0 && last.Tag() == 0 {
		rs.byTag[0] = Run{Last: last} // the store is older than tags
	}
	for _, r := range stored {
		if r.Tag == last.Tag() && last.Compare(r.Last) > 0 {
			r.Last = last
		}
		rs.byTag[r.Tag] = r
	}
	for tag, r := range rs.byTag {
		if r.Last.number() == 0 { // no position was given out
			delete(rs.byTag, tag)
		}
	}
}

// begin makes a new run the present one and returns all of them.
func (rs *runs) begin(tag func() uint64, slot uint64) (present Run, all []Run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	present.Tag, present.First = tag(), slot
	for _, isTaken := rs.byTag[present.Tag]; isTaken; _, isTaken = rs.byTag[present.Tag] {
		present.Tag = present.Tag%maxTag + 1
	}
	present.Last = firstOf(slot, present.Tag)
	for _, r := range rs.byTag {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Run) int { return b.Last.Compare(a.Last) })
	for _, r := range all[min(len(all), maxRuns-1):] {
		delete(rs.byTag, r.Tag)
	}
	rs.byTag[present.Tag], rs.present = present, present.Tag
	return present, append(all[:min(len(all), maxRuns-1)], present)
}

// Knows reports whether s is a position of this store: of a run that it knows, and not above
// what that run has reached. Then everything that has changed since is what the types have
// after it. Any other position is of another server, of a state that a backup has replaced, or
// of a start without a store, and nothing can be said of what has changed since.
func (e *Engine) Knows(s Seq) bool { return e.runs.know(s) }

// begin begins a run whose positions are all above those of the runs before, however soon it
// follows them and whatever its tag.
func (e *Engine) begin() []Run {
	c := &e.applier.clock
	slot := uint64(max(e.o.Now().UnixMilli(), 0))
	if c.last != (Seq{}) {
		slot = max(slot, c.last.Slot+1)
	}
	present, all := e.runs.begin(e.o.Tag, slot)
	c.tag, c.last = present.Tag, present.Last
	return all
}

// loadRuns begins a run in the store, after its entities were loaded.
func (e *Engine) loadRuns(ctx context.Context) error {
	stored, err := e.o.Store.LoadRuns(ctx)
	if err != nil {
		return fmt.Errorf("entity: load: %w", err)
	}
	e.runs.restore(stored, e.applier.reached)
	for _, r := range stored {
		e.applier.clock.reach(r.Last)
	}
	if err := e.o.Store.SaveRuns(ctx, e.begin()); err != nil {
		// Nothing is lost: a client that comes back with a position of this run gets the whole view.
		e.o.Log.Warn("start not stored; after the next one clients get whole views instead of what has changed", "err", err)
	}
	return nil
}

func drawTag() uint64 { return rand.Uint64N(maxTag) + 1 }
