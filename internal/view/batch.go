package view

import (
	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// catchUp is what a subscription has still to be sent before it can join its topic: a *catchup.List or
// *catchup.Key of a base view, or a *windowCatchUp.
type catchUp interface {
	// CanShare reports whether the next step only reads: it may be taken beside others.
	CanShare() bool
}

// catchUpOf returns the catch-up of s, nil when s has none or is nil.
func catchUpOf[T catchUp](s *subscription) (st T) {
	if s != nil {
		st, _ = s.catchUp.(T)
	}
	return st
}

// batch is what one step sends, once the type is unlocked: a frame of the snapshot, then
// updates, then what the hub delivers.
type batch struct {
	catchup.Batch
	view     string
	mode     protocol.Mode
	shape    *query.Plan // nil: everything
	position protocol.Position
}

// advance sends the batches of the catch-up of s while the connection takes them.
func (e *Engine) advance(c *Connection, s *subscription) {
	for s.catchUp != nil && !c.isLost && !c.mustWait(s) && !c.isHeldUp() {
		if s.catchUp.CanShare() {
			t := s.rlock()
			b := e.stepLocked(s, false)
			t.RUnlock()
			e.send(c, s, b)
			continue
		}
		e.advanceLocked(c, s, s.lock())
	}
}

// advanceLocked takes one step with t, the type of s, locked exclusively, and unlocks it. To
// a connection that is congested it sends nothing.
func (e *Engine) advanceLocked(c *Connection, s *subscription, t *entity.Type) {
	if c.isLost || c.mustWait(s) || c.isHeldUp() {
		t.Unlock()
		return
	}
	b := e.stepLocked(s, true)
	if b.IsAtEnd {
		b.position = e.joinLocked(c, s)
		s.joinedLocked(t)
	}
	t.Unlock()
	e.send(c, s, b)
}

// joinedLocked notes that nothing is left to be sent to s.
func (s *subscription) joinedLocked(t *entity.Type) {
	s.catchUp = nil
	if s.window == nil {
		_, s.since = t.LastLocked()
		return
	}
	s.since = s.window.sent.Last()
	s.window.releaseSentLocked()
}

func (e *Engine) stepLocked(s *subscription, isExclusive bool) *batch {
	b := &batch{view: s.view()}
	if s.derived != nil {
		b.mode, b.shape = s.derived.modeLocked(), s.derived.shape
	} else {
		b.mode = s.base.mode
	}
	switch st := s.catchUp.(type) {
	case *catchup.List:
		st.Step(e.entities, s.base.root.typ, s.asked().Request, e.options.sizes(), &b.Batch, isExclusive)
	case *catchup.Key:
		st.Step(s.base.root.typ, s.key, &b.Batch)
	case *windowCatchUp:
		st.stepLocked(e, s, &b.Batch, isExclusive)
	}
	return b
}

// send sends b and, when s has joined, lets the hub deliver.
func (e *Engine) send(c *Connection, s *subscription, b *batch) {
	c.count(s)
	if b.IsLost {
		e.lose(c)
		return
	}
	if b.IsFrame {
		e.sendRows(c, b)
	}
	for i := range b.Updates {
		c.replier.ReplyPublication(b.publication(s, &b.Updates[i]))
	}
	e.metrics.caughtUp.Add(float64(len(b.Updates)))
	if b.IsAtEnd {
		// An error says that it lags already, which Lag tells as well.
		_ = s.Release(b.position)
		e.catchUp(c, s)
	}
}

// publication is what s is told of one entity. A deletion has its position where that is
// known: it counts to what the client has.
func (b *batch) publication(s *subscription, u *catchup.Update) *protocol.Publication {
	ch := &protocol.Change{View: b.view, Mode: b.mode, Op: protocol.OpDelete, Key: u.Key}
	p := &protocol.Publication{Topic: s.feed.topic, Kind: protocol.KindChange, Change: ch}
	switch {
	case u.Version != nil:
		ch.Op, ch.Seq, p.Data = protocol.OpUpsert, u.Version.Seq.String(), project(b.shape, u.Version)
	case u.Seq != (entity.Seq{}):
		ch.Seq = u.Seq.String()
	}
	return p
}

func (e *Engine) sendRows(c *Connection, b *batch) {
	rows := make([]protocol.Row, len(b.Rows))
	for i, v := range b.Rows {
		rows[i] = protocol.Row{Key: v.Key, Data: project(b.shape, v)}
	}
	c.replier.Reply(&protocol.Message{
		Kind: protocol.MessageViewSnapshot,
		View: &protocol.ViewMessage{
			View: b.view, Mode: b.mode, Rows: rows,
			IsFirst: b.IsFirst, IsWhole: b.IsWhole, Deleted: b.Gone, IsComplete: b.IsComplete,
		},
	})
	e.metrics.rows.Add(float64(len(rows)))
}

// lose closes the connection: a subscription of it cannot be made right.
func (e *Engine) lose(c *Connection) {
	if !c.isLost {
		c.isLost = true
		e.metrics.lost.Inc()
		c.replier.CloseSlow()
	}
}
