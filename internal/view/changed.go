package view

import (
	"github.com/millrace/millrace/internal/backpressure"
	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// Changed implements entity.Receiver: t is locked exclusively. What base views publish goes
// out change by change; what derived views publish is the difference that all make together.
//
//millrace:hot BenchmarkChanged TestChangedAllocs
func (e *Engine) Changed(t *entity.Type, changes []entity.Change) {
	r := e.root(t)
	if r == nil || len(changes) == 0 {
		return
	}
	for i := range changes {
		ch := &changes[i]
		for i := range r.bases {
			if b := r.bases[i].Load(); b != nil && b.subs > 0 {
				r.publishBaseLocked(b, ch)
			}
		}
		for _, n := range r.derived {
			n.applyLocked(ch, ch.Old, ch.New)
		}
	}
	last := &changes[len(changes)-1]
	r.flushLocked(last.Seq)
}

// publishBaseLocked tells of one change exactly as it was made.
func (r *root) publishBaseLocked(b *baseView, ch *entity.Change) {
	keyed := b.keyed.Get(ch.Key)
	if keyed == nil && b.all.subs == 0 {
		return
	}
	n := &notice{change: protocol.Change{View: b.view, Mode: b.mode, Key: ch.Key, Seq: r.seqTextLocked(ch.Seq), Number: ch.Number}}
	switch c := &n.change; ch.Op {
	case entity.OpPatch:
		c.Op, c.Append, n.publication.Data = protocol.OpPatch, ch.Append, ch.Patch
	case entity.OpUpsert:
		c.Op, n.publication.Data = protocol.OpUpsert, ch.New.Wire()
	case entity.OpDelete:
		c.Op = protocol.OpDelete
	}
	if b.all.subs > 0 && keyed != nil {
		r.engine.publishLocked(&b.all, &notice{publication: n.publication, change: n.change})
	} else if keyed == nil {
		keyed = &b.all
	}
	r.engine.publishLocked(keyed, n)
}

// flushLocked ends a group of changes: every watched window publishes its net difference. Views in
// dirty come after the views they derive from.
func (r *root) flushLocked(seq entity.Seq) {
	for _, n := range r.dirty {
		if n.isDirty = false; n.rows.IsTotal() {
			n.sumUpLocked(seq)
		}
	}
	pacer := r.engine.hub.Inboxes().Pace()
	defer pacer.Close()
	for i, n := range r.dirty {
		n.flushLocked(r, &pacer)
		r.dirty[i] = nil
	}
	r.dirty = r.dirty[:0]
}

// flushLocked makes the windows of n publish, while n belongs to r. It gives the lock away where the pacer
// pauses. The state is the one after the group then, and a caller that has to do with a window calls
// settleLocked first.
func (n *derivedView) flushLocked(r *root, pacer *backpressure.Pacer) {
	for n.root.Load() == r {
		if n.flushed == len(n.windows) {
			n.endFlushLocked()
			return
		}
		w := n.windows[n.flushed]
		n.flushed++
		if w.settleLocked(); pacer.Made() {
			r.typ.Unlock()
			pacer.Pause()
			r.typ.Lock()
		}
	}
}

// endFlushLocked forgets the group, which all windows have published.
func (n *derivedView) endFlushLocked() { n.step, n.flushed = derived.Step{}, 0 }
