package owner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/entity"
)

// Load reads the store into the state and begins an [entity.Run]; once, before Run and before the state
// is read.
func (e *Owner) Load(ctx context.Context) error {
	if e.o.Store == nil {
		return nil
	}
	a := &e.applier
	var repeats []Receipt
	load := loader{state: a.state, clock: &a.decider.clock}
	err := e.o.Store.LoadEntities(ctx, e.o.Now(), load.restore, func(r Receipt) error {
		repeats = append(repeats, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("entity: load: %w", err)
	}
	a.decider.resume(repeats)
	if err := a.loadRuns(ctx); err != nil {
		return err
	}
	for _, t := range a.state.All() {
		if err := a.forget(ctx, t); err != nil {
			return fmt.Errorf("entity: load: %w", err)
		}
	}
	return nil
}

// loader puts records where they were.
type loader struct {
	state *entity.State
	clock *clock
	last  *entity.Type // of the record before
}

func (l *loader) restore(r Record) error {
	name, isMark := strings.CutSuffix(r.Type, forgottenMark)
	t := l.last
	if t == nil || t.Name != name || t.App != r.App {
		t = l.state.Declare(r.App, name)
		l.last = t
	}
	l.clock.reach(r.Seq)
	tombstone := entity.Tombstone{Key: r.Key, Seq: r.Seq, Number: r.Number}
	switch {
	case isMark:
		l.state.RestoreForgotten(t, tombstone)
	case r.IsDeleted:
		l.state.RestoreTombstone(t, tombstone)
	default:
		err := l.state.Restore(t, &entity.Version{Key: r.Key, Data: slices.Clip(r.Data), Seq: r.Seq, Number: r.Number})
		if err != nil {
			return fmt.Errorf("app %q, type %q, key %q: %w", r.App, r.Type, r.Key, err)
		}
	}
	return nil
}

// resume takes in the receipts of a store whose records were restored.
func (d *decider) resume(repeats []Receipt) {
	slices.SortFunc(repeats, func(x, y Receipt) int { return x.Expires.Compare(y.Expires) })
	for _, r := range repeats {
		d.receipts.put(r, 0)
		d.clock.reach(r.Seq)
	}
	d.receipts.shrink(d.o.Now())
	d.reached = d.clock.last
}

// forget forgets tombstones beyond the limit, which was higher once.
func (a *applier) forget(ctx context.Context, t *entity.Type) error {
	x := newDraft(t.App, t.Name, t)
	x.open(ledger{})
	x.forget(a.o.MaxTombstones)
	if x.decided.Forgotten.Number == 0 {
		return nil
	}
	c := Commit{Now: a.o.Now()}
	x.appendTo(&c)
	if err := a.o.Store.CommitEntities(ctx, &c); err != nil {
		return err
	}
	return a.state.Install(&x.decided, nil)
}

// forgottenMark is the name of the type under which the last forgotten tombstone of a type is
// stored, under the empty key. Names of types have no slash.
const forgottenMark = "/"

// mark is how it is stored up to which tombstone a type has forgotten them.
func mark(app, name string, last entity.Tombstone) Record {
	return Record{App: app, Type: name + forgottenMark, IsDeleted: true, Seq: last.Seq, Number: last.Number}
}
