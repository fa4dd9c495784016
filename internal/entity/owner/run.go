package owner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/internal/entity"
)

// maxRuns is how many runs are remembered, the newest.
const maxRuns = 1000

// clock gives out the positions of a run. It is owned by the applier.
type clock struct {
	tag  uint64
	last entity.Seq
}

// next is greater than all before.
func (c *clock) next(slot uint64) entity.Seq {
	c.last = c.last.Next(c.tag, slot)
	return c.last
}

// reach makes sure that what follows is greater than s.
func (c *clock) reach(s entity.Seq) {
	if s.Compare(c.last) > 0 {
		c.last = s
	}
}

// ended are the runs of a store whose last change is last. A run is stored when it begins, so how far
// the run of that change came shows only now.
func ended(stored []entity.Run, last entity.Seq) []entity.Run {
	if len(stored) == 0 && last.Tag() == 0 {
		stored = []entity.Run{{Last: last}} // the store is older than tags
	}
	var list []entity.Run
	for _, r := range stored {
		if r.Tag == last.Tag() && last.Compare(r.Last) > 0 {
			r.Last = last
		}
		if !r.IsEmpty() {
			list = append(list, r)
		}
	}
	return list
}

// withPresent are the latest of the runs before and a new one, which comes last.
func withPresent(before []entity.Run, tag, slot uint64) []entity.Run {
	for slices.ContainsFunc(before, func(r entity.Run) bool { return r.Tag == tag }) {
		tag = tag%entity.MaxTag + 1
	}
	slices.SortFunc(before, func(a, b entity.Run) int { return b.Last.Compare(a.Last) })
	return append(before[:min(len(before), maxRuns-1)], entity.NewRun(tag, slot))
}

// begin begins a run whose positions are all above the positions of the runs before, however soon it
// follows them and whatever its tag.
func (a *applier) begin(before []entity.Run) []entity.Run {
	c := &a.decider.clock
	slot := slotOf(a.o.Now())
	if c.last != (entity.Seq{}) {
		slot = max(slot, c.last.Slot+1)
	}
	all := withPresent(before, a.o.Tag(), slot)
	present := &all[len(all)-1]
	c.tag, c.last = present.Tag, present.Last
	a.state.Begin(all)
	return all
}

// loadRuns begins a run in the store, after its entities were loaded.
func (a *applier) loadRuns(ctx context.Context) error {
	stored, err := a.o.Store.LoadRuns(ctx)
	if err != nil {
		return fmt.Errorf("entity: load: %w", err)
	}
	before := ended(stored, a.decider.reached)
	for _, r := range stored {
		a.decider.clock.reach(r.Last)
	}
	if err := a.o.Store.SaveRuns(ctx, a.begin(before)); err != nil {
		// Nothing is lost: a client that comes back with a position of this run gets the whole view.
		a.o.Log.Warn("start not stored; after the next one clients get whole views instead of what has changed", "err", err)
	}
	return nil
}

func drawTag() uint64 { return rand.Uint64N(entity.MaxTag) + 1 }
