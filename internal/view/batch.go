package view

import (
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// catchUp is what a subscription has still to be sent before it can join its topic. It is read
// in steps, each from the state as it is then.
type catchUp interface {
	// stepLocked puts what comes next into b. Only with the exclusive lock may it join.
	stepLocked(e *Engine, s *subscription, b *batch, isExclusive bool)
}

// rowUpdate is what a subscriber that is brought up to date is sent of one entity.
type rowUpdate struct {
	key string
	seq entity.Seq      // of its deletion; zero: not known
	v   *entity.Version // nil: it is gone
}

func (b *batch) delete(key string, seq entity.Seq) {
	b.changes = append(b.changes, rowUpdate{key: key, seq: seq})
}

func (b *batch) upsert(v *entity.Version) { b.changes = append(b.changes, rowUpdate{key: v.Key, v: v}) }

// catchUpOf returns the catch-up of s, nil when s has none or is nil.
func catchUpOf[T catchUp](s *subscription) (st T) {
	if s != nil {
		st, _ = s.catchUp.(T)
	}
	return st
}

// batch is what one step sends, once the type is unlocked: a frame of the snapshot, then
// changes, then what the hub delivers.
type batch struct {
	view  string
	mode  protocol.Mode
	shape *query.Plan // nil: everything

	rows       []*entity.Version
	isFrame    bool     // rows are a frame of the snapshot, even if there are none
	isFirst    bool     // the first of it
	isWhole    bool     // it is all of the view, not what has changed since a position
	isComplete bool     // the last of it
	gone       []string // keys that are gone since, unless it is whole

	changes []rowUpdate

	isAtEnd  bool // nothing is left: join
	isLost   bool // what was missed cannot be told any more
	position protocol.Position
}

// advance sends the batches of the catch-up of s while the connection takes them.
func (e *Engine) advance(c *Connection, s *subscription) {
	for s.catchUp != nil && !c.isLost && !c.mustWait(s) && !c.isHeldUp() {
		if s.canShare() {
			t := s.rlock()
			b := e.stepLocked(s, false)
			t.RUnlock()
			e.send(c, s, b)
			continue
		}
		e.advanceLocked(c, s, s.lock())
	}
}

// canShare reports whether the next step only reads: it may do so beside others.
func (s *subscription) canShare() bool {
	switch st := s.catchUp.(type) {
	case *listCatchUp:
		return st.isSnapshot
	case *windowCatchUp:
		return st.isSnapshot && !st.isWaiting
	default:
		return false
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
	if b.isAtEnd {
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
	s.since = s.window.sent.last
	s.window.releaseSentLocked()
}

func (e *Engine) stepLocked(s *subscription, isExclusive bool) *batch {
	b := &batch{view: s.view()}
	if s.derived != nil {
		b.mode, b.shape = s.derived.modeLocked(), s.derived.shape
	} else {
		b.mode = s.base.mode
	}
	s.catchUp.stepLocked(e, s, b, isExclusive)
	return b
}

// send sends b and, when s has joined, lets the hub deliver.
func (e *Engine) send(c *Connection, s *subscription, b *batch) {
	c.count(s)
	if b.isLost {
		e.lose(c)
		return
	}
	if b.isFrame {
		e.sendRows(c, b)
	}
	for i := range b.changes {
		c.replier.ReplyPublication(b.publication(s, &b.changes[i]))
	}
	e.metrics.caughtUp.Add(float64(len(b.changes)))
	if b.isAtEnd {
		// An error says that it lags already, which Lag tells as well.
		_ = s.Release(b.position)
		e.catchUp(c, s)
	}
}

// publication is what s is told of one entity. A deletion has its position where that is
// known: it counts to what the client has.
func (b *batch) publication(s *subscription, t *rowUpdate) *protocol.Publication {
	ch := &protocol.Change{View: b.view, Mode: b.mode, Op: protocol.OpDelete, Key: t.key}
	p := &protocol.Publication{Topic: s.feed.topic, Kind: protocol.KindChange, Change: ch}
	switch {
	case t.v != nil:
		ch.Op, ch.Seq, p.Data = protocol.OpUpsert, t.v.Seq.String(), project(b.shape, t.v)
	case t.seq != (entity.Seq{}):
		ch.Seq = t.seq.String()
	}
	return p
}

func (e *Engine) sendRows(c *Connection, b *batch) {
	rows := make([]protocol.Row, len(b.rows))
	for i, v := range b.rows {
		rows[i] = protocol.Row{Key: v.Key, Data: project(b.shape, v)}
	}
	c.replier.Reply(&protocol.Message{
		Kind: protocol.MessageViewSnapshot,
		View: &protocol.ViewMessage{
			View: b.view, Mode: b.mode, Rows: rows,
			IsFirst: b.isFirst, IsWhole: b.isWhole, Deleted: b.gone, IsComplete: b.isComplete,
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

// fitting is how many of vs, at most n, make one frame; at least one if there is any.
func (e *Engine) fitting(vs []*entity.Version, n int) int {
	n = min(n, len(vs))
	bytes := 0
	for i, v := range vs[:n] {
		bytes += len(v.Key) + len(v.Data)
		if bytes >= e.options.MaxBatchBytes {
			return i + 1
		}
	}
	return n
}
