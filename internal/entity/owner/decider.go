package owner

import (
	"fmt"

	"github.com/millrace/millrace/internal/entity"
)

// maxChanges is how many bytes the changes of one batch may have in their stored form: a log takes 4 MiB at a time.
const maxChanges = 3 << 20

// Decider decides batches for an owner whose changes a log stores. It has neither a queue nor a store, and remembers no batch:
// its caller knows which were applied. The state of its node, in which every change of the log is installed, is all that it reads.
//
// It is owned by the goroutine that installs.
type Decider struct {
	o        Options
	state    *entity.State
	preparer preparer
	decider  decider
	term     uint64 // of the run that it gives positions of; zero: none yet
}

// Decided is what has become of one batch.
type Decided struct {
	Seq     entity.Seq    // as [Owner.Apply] returns it
	Changes []byte        // decisions in their stored form; nil: nothing changes
	Problem *entity.Error // of a batch that changes nothing, since it never can
}

// NewDecider makes the decider of a node over its state. It uses the bounds of o, Now and Tag.
func NewDecider(s *entity.State, o Options) *Decider {
	d := &Decider{o: o.withDefaults(), state: s}
	d.preparer.o = &d.o
	return d
}

// Decide works out what batches do to what is installed, one after the other. It stops behind the batch whose changes
// exceed maxBytes with those before, so that there is an answer to the first ones, but to one always.
//
// A term is one ownership: it has a run of its own, whose positions are above all that are installed when it begins. Within a
// term what Decide returns is installed before the next call, whole, or it never will be.
func (d *Decider) Decide(term uint64, batches []*entity.Batch, maxBytes int) (all []Decided) {
	if term != d.term {
		d.begin(term)
	}
	c := &d.decider
	c.closeGroup()
	c.now, c.reached = d.o.Now(), d.state.Reached()
	size := 0
	for _, b := range batches {
		if len(all) > 0 && size >= maxBytes {
			break
		}
		all = append(all, d.batch(b))
		size += len(all[len(all)-1].Changes)
	}
	for _, x := range c.opened {
		if x.forget(d.o.MaxTombstones); x.decided.Forgotten.Number > 0 {
			d.forget(x, batches[:len(all)], all)
		}
	}
	return all
}

// begin begins the run of a term.
func (d *Decider) begin(term uint64) {
	d.term = term
	d.decider = newDecider(&d.o, d.state)
	slot, reached, tag := slotOf(d.o.Now()), d.state.Reached(), d.o.Tag()
	if reached != (entity.Seq{}) {
		slot = max(slot, reached.Slot+1)
	}
	for d.state.HasRun(tag) {
		tag = tag%entity.MaxTag + 1
	}
	run := entity.NewRun(tag, slot)
	d.decider.clock = clock{run.Tag, run.Last}
}

// batch decides one batch.
func (d *Decider) batch(b *entity.Batch) Decided {
	defer d.preparer.reset()
	if err := d.preparer.prepare(b); err != nil {
		return Decided{Problem: err.(*entity.Error)} //nolint:errorlint,forcetypeassert // prepare returns no other
	}
	c, p := &d.decider, &d.preparer.pending
	before := c.reached
	c.decideBatch(p)
	if p.refusal != nil {
		return Decided{Problem: p.refusal}
	}
	var changes []byte
	for _, x := range c.opened {
		if x.batch == c.batch && len(x.steps) > x.mark {
			part := x.since(x.mark)
			changes = entity.AppendDecisions(changes, &part)
		}
	}
	if len(changes) > maxChanges {
		c.undoBatch()
		c.reached = before
		problem := fmt.Sprintf("the batch changes more than %d bytes of entities", maxChanges)
		return Decided{Problem: &entity.Error{Index: -1, Message: problem}}
	}
	return Decided{Seq: p.seq, Changes: changes}
}

// since is what was decided behind the first n changes, as if a group had begun there.
func (d *draft) since(n int) entity.Decisions {
	part := d.decided
	if n > 0 {
		part.After = part.List[n-1].Number
	}
	part.List = part.List[n:]
	return part
}

// forget appends to the last batch of the app which tombstones of a type are forgotten.
func (d *Decider) forget(x *draft, batches []*entity.Batch, all []Decided) {
	for i := len(all) - 1; i >= 0; i-- {
		if len(all[i].Changes) > 0 && batches[i].App == x.decided.App {
			last := x.since(len(x.steps))
			all[i].Changes = entity.AppendDecisions(all[i].Changes, &last)
			return
		}
	}
}
