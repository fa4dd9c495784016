package view

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// window is a window of a derived view, which all connections see that ask for the same part. It exists
// while a connection watches it.
type window struct {
	derived.Window                // what part means with the present definition
	feed                          // its topic and subscriptions
	derived        *derivedView   // immutable
	part           derived.Range  // immutable
	sent           catchup.Recent // frames; they are numbered per window (protocol.Change.Number)

	steps uint32 // up to which of derivedView.steps it has noted all

	// Of the subscriptions that are being brought up to date.
	behind int32  // how many there are
	seen   uint64 // up to which frame each of them has accounted for all; while there are any
}

// windowLocked finds or makes the window of a part.
func (n *derivedView) windowLocked(p derived.Range) *window {
	for _, w := range n.windows {
		if w.part == p {
			return w
		}
	}
	w := &window{derived: n, part: p, steps: n.steps, feed: feed{topic: protocol.WindowTopic(n.app, n.id, p.String())}}
	w.resolveLocked()
	n.windows = append(n.windows, w)
	n.engine.metrics.windows.Inc()
	return w
}

// forgetLocked drops a window that no connection watches any more.
func (n *derivedView) forgetLocked(w *window) {
	if w.subs > 0 {
		return
	}
	if i := slices.Index(n.windows, w); i >= 0 {
		n.windows = slices.Delete(n.windows, i, i+1)
		if i < n.flushed {
			n.flushed--
		}
		n.engine.metrics.windows.Dec()
	}
}

// partOf is which part s is about.
func partOf(s *subscription) derived.Range {
	asked := s.asked()
	p := derived.Range{Skip: asked.skip, Take: -1, IsOther: s.hasKey && s.key != derived.TotalKey}
	if asked.hasTake {
		p.Take = asked.take
	}
	return p
}

func (w *window) resolveLocked() { w.Low, w.High = w.derived.boundsLocked(w.part) }

// rowsLocked returns the rows that the window shows.
func (w *window) rowsLocked() []*entity.Version { return w.derived.rows.Between(w.Low, w.High) }

// findLocked is what the window shows under a key, nil if that is nothing.
func (w *window) findLocked(key string) *entity.Version {
	return w.Find(w.derived.rows, w.derived.root.Load().typ, key)
}

// takeStepLocked notes the last step, unless it has.
func (w *window) takeStepLocked() {
	if n := w.derived; w.steps != n.steps {
		w.steps = n.steps
		w.Take(n.rows, &n.root.Load().pool, &n.step)
	}
}

// settleLocked publishes what the last group of changes did, if that was not published yet: first the
// rows that left, then the rows that entered or changed, so that no client ever shows more than the window
// holds (views 5.5 [M]).
func (w *window) settleLocked() {
	w.takeStepLocked()
	list := w.Changes()
	if len(list) == 0 {
		return
	}
	r := w.derived.root.Load()
	last, _ := r.typ.LastLocked()
	seq := r.seqTextLocked(last)
	w.forgetSentLocked()
	mode := w.derived.modeLocked()
	for i := range list {
		if c := &list[i]; c.Was != nil && c.Is == nil {
			w.publishLocked(protocol.Change{Mode: mode, Op: protocol.OpDelete, Key: c.Key, Seq: seq}, nil)
		}
	}
	for i := range list {
		if c := &list[i]; c.Is != nil && c.Is != c.Was {
			w.publishChangeLocked(c, mode)
		}
	}
	w.Done(&r.pool)
}

// publishChangeLocked publishes a row that entered or changed: as the patch that led from the
// subscribers' version to the present one if there is one and it is shorter.
func (w *window) publishChangeLocked(c *derived.RowChange, mode protocol.Mode) {
	n := w.derived
	ch := protocol.Change{Mode: mode, Op: protocol.OpUpsert, Key: c.Key, Seq: n.root.Load().seqTextLocked(c.Is.Seq)}
	data := project(n.shape, c.Is)
	if c.Was == nil {
		w.publishLocked(ch, data)
		return
	}
	if n.shape != nil && bytes.Equal(project(n.shape, c.Was), data) {
		return // it changed where no window shows it
	}
	made := c.Change
	if n.shape == nil && made != nil && made.Op == entity.OpPatch && made.Old == c.Was && made.New == c.Is && len(made.Patch) < len(data) {
		ch.Op, ch.Append, data = protocol.OpPatch, made.Append, made.Patch
	}
	w.publishLocked(ch, data)
}

func (w *window) publishLocked(ch protocol.Change, data []byte) {
	w.rememberLocked(ch.Key)
	ch.View, ch.Number = w.derived.id, w.sent.Last()
	w.derived.engine.publishLocked(&w.feed, &notice{publication: protocol.Publication{Data: data}, change: ch})
}
