package entity

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/jsontext"
)

// Load reads the store and begins a [Run] in it; once, before Run and before anybody reads a
// type.
func (e *Engine) Load(ctx context.Context) error {
	if e.o.Store == nil {
		return nil
	}
	a := &e.applier
	var repeats []Receipt
	err := e.o.Store.LoadEntities(ctx, e.o.Now(), a.restore, func(r Receipt) error {
		repeats = append(repeats, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("entity: load: %w", err)
	}
	slices.SortFunc(repeats, func(x, y Receipt) int { return x.Expires.Compare(y.Expires) })
	for _, r := range repeats {
		a.receipts.put(r, 0)
		a.clock.reach(r.Seq)
	}
	a.receipts.shrink(e.o.Now())
	a.last, a.reached = nil, a.clock.last
	if err := e.loadRuns(ctx); err != nil {
		return err
	}
	for _, t := range e.types.all() {
		if err := a.bury(ctx, t); err != nil {
			return fmt.Errorf("entity: load: %w", err)
		}
		e.o.Metrics.entities.Add(float64(len(t.entities)))
		e.o.Metrics.tombstones.Add(float64(len(t.graves.byKey)))
	}
	return nil
}

// restore puts one record where it was.
func (a *applier) restore(r Record) error {
	name, isMark := strings.CutSuffix(r.Type, forgottenMark)
	t := a.last
	if t == nil || t.Name != name || t.App != r.App {
		t = a.types.declare(r.App, name)
		a.last, t.isListed = t, true
	}
	a.clock.reach(r.Seq)
	if r.Number > t.number {
		t.number, t.last = r.Number, r.Seq
	}
	grave := Tombstone{Key: r.Key, Seq: r.Seq, Number: r.Number}
	switch {
	case isMark:
		t.graves.forgotten = grave
		return nil
	case r.IsDeleted:
		t.graves.add(grave)
		return nil
	}
	v := &Version{Key: r.Key, Data: slices.Clip(r.Data), Seq: r.Seq, Number: r.Number}
	if err := v.check(); err != nil {
		return fmt.Errorf("app %q, type %q, key %q: %w", r.App, r.Type, r.Key, err)
	}
	v.isWire = isWire(v.Data)
	t.addLocked(v)
	return nil
}

// check is an error for data that no engine has stored: what reads it later relies on that.
func (v *Version) check() error {
	tail := v.Seq.appendTail(nil)
	if data, ok := jsontext.Parse(v.Data); !ok || len(data) != len(v.Data) || !bytes.HasSuffix(data, tail) || data.Kind() != jsontext.Object {
		return fmt.Errorf("data is damaged: want a JSON object that ends in %s", tail)
	}
	return nil
}

// bury forgets tombstones beyond the limit, which was higher once.
func (a *applier) bury(ctx context.Context, t *Type) error {
	surplus := t.graves.byNumber.Len() - a.o.MaxTombstones
	if surplus <= 0 {
		return nil
	}
	c := Commit{Now: a.o.Now()}
	for _, grave := range t.DeletedAfterLocked(nil, 0, surplus) {
		c.Forget = append(c.Forget, Record{App: t.App, Type: t.Name, Key: grave.Key, IsDeleted: true, Seq: grave.Seq, Number: grave.Number})
	}
	t.graves.shrink(a.o.MaxTombstones)
	c.Records = []Record{t.mark(t.graves.forgotten)}
	return a.o.Store.CommitEntities(ctx, &c)
}
