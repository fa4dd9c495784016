package view

import (
	"math"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// Limits of one subscribe or read.
type Limits struct {
	MaxRows int // of the snapshot; zero or less: none
	// Clearance of the reader. A derived view above it is one that there is not. Base views are
	// for the caller to judge: their ids say which they are.
	Clearance access.Level
}

// subscription is a connection's place in a view. The running call for the connection owns it.
//
// Invariants: it counts in its feed from begin to end. The hub delivers to it only while
// catchUp is nil.
//
// A connection may have thousands, so all that a subscription shares with its view or its topic is
// there alone.
type subscription struct {
	hub.Subscription
	catchUp catchUp
	feed    *feed  // once it has begun
	terms   *terms // nil: nothing in particular or, with a window, nothing that its part does not say; see asked

	base    *baseView    // of a base view, otherwise nil
	derived *derivedView // of a derived view, otherwise nil
	window  *window      // of a derived view, once it has begun

	key     string // if it has one; of a base view a part of its topic's name
	hasKey  bool
	isBegun bool   // counts in Connection.begun
	since   uint64 // when it joined its topic: the change number of the type or, of a window, the number of its last frame
}

// view is the id of the view.
func (s *subscription) view() string {
	if s.derived != nil {
		return s.derived.id
	}
	return s.base.view
}

// lock locks the type that decides what s sees. The window of s has published all that it shows.
func (s *subscription) lock() *entity.Type {
	if s.derived != nil {
		t := s.derived.lock()
		if s.window != nil {
			s.window.settleLocked()
		}
		return t
	}
	t := s.base.root.typ
	t.Lock()
	return t
}

func (s *subscription) rlock() *entity.Type {
	if s.derived != nil {
		return s.derived.rlock()
	}
	t := s.base.root.typ
	t.RLock()
	return t
}

// entityKey is the key of the one entity that s, of a base view, is about; false when it is about
// all.
func (s *subscription) entityKey() (key string, isOne bool) {
	return s.key, s.hasKey || s.base.mode == protocol.ModeState // without a key the empty one (views 5.2)
}

// Subscribe answers with MessageViewSubscribed, the snapshot and then changes (views
// 3.4). The same view and key again: with the same parameters nothing happens, with others
// they replace the old ones, and whatever the connection should no longer have is deleted
// (views 3.5 [M]).
//
// A returned issue was not sent. [ErrUnknownView] and [ErrKeyTooLong]: nothing was sent and nothing
// has changed.
// protocol.IssueSnapshotLimit: MessageViewSubscribed was sent, and there is no subscription,
// also not the one that this should have replaced.
func (e *Engine) Subscribe(c *Connection, r *protocol.ViewRequest, l Limits) *protocol.Issue {
	s := newSubscription(r)
	m := e.resolve(c.app, r, s, l.Clearance)
	switch limit := e.options.MaxKey; {
	case m == nil:
		return unknownView(r.View)
	case len(s.key) > limit:
		return ErrKeyTooLong.Withf("The key has %d bytes, and no entity has one of more than %d", len(s.key), limit).Of(r.View, r.Key)
	default:
		return e.start(c, s, r, l, m)
	}
}

func newSubscription(r *protocol.ViewRequest) *subscription {
	s := &subscription{terms: termsOf(r).kept(), hasKey: r.Key != nil}
	if s.hasKey {
		s.key = *r.Key
	}
	return s
}

// resolve finds what s is about and returns the answer that it exists, nil if it does not, or not
// for this reader.
func (e *Engine) resolve(app string, r *protocol.ViewRequest, s *subscription, clearance access.Level) *protocol.ViewMessage {
	m := &protocol.ViewMessage{View: r.View}
	if b, ok := e.findBase(app, r.View); ok {
		s.base = b
		m.Mode = b.mode
		if m.Mode == protocol.ModeList {
			m.SortPath, m.SortDesc = seqPath(), true
		}
		return m
	}
	if s.derived = e.find(app, r.View); s.derived == nil {
		return nil
	}
	t := s.derived.rlock()
	defer t.RUnlock()
	if s.derived.isHiddenLocked(clearance) {
		return nil
	}
	m.Mode = s.derived.modeLocked()
	m.SortPath, m.SortDesc = s.derived.sortLocked()
	return m
}

func seqPath() []string { return []string{"_seq"} }

// sortLocked is how clients are to sort (views 4.1).
func (n *derivedView) sortLocked() (path []string, isDescending bool) {
	if n.rows.Plan().IsSorted() {
		return n.rows.Plan().SortPath()
	}
	if n.modeLocked() == protocol.ModeList {
		return seqPath(), true
	}
	return nil, false
}

// start replaces what c has under the same id by s, if that is another.
func (e *Engine) start(c *Connection, s *subscription, r *protocol.ViewRequest, l Limits, m *protocol.ViewMessage) *protocol.Issue {
	old := c.subs.Get(newID(r.View, r.Key))
	if old != nil && old.asked() == s.asked() {
		return nil
	}
	if old == nil && r.NoSnapshot && s.derived == nil {
		return e.startLive(c, s, l, m)
	}
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageViewSubscribed, View: m})
	if old != nil {
		if r.NoSnapshot && s.derived == nil {
			old.terms = s.terms // the same catch-up, and nothing before it
			return nil
		}
		if old.derived == nil {
			e.catchUp(c, old) // so that it knows what it misses
			old.Close()       // before the state is read, so that nothing older comes after it
		}
	}
	e.hold(s)
	t := s.lock()
	st, issue := e.beginLocked(s, old, l)
	if issue != nil {
		t.Unlock()
		e.release(s)
		if old != nil {
			e.end(c, old)
		}
		return issue
	}
	s.catchUp = st
	e.advanceLocked(c, s, t)
	if old != nil {
		e.end(c, old)
	}
	c.subs.Add(s)
	e.advance(c, s)
	c.keepHad(s)
	return nil
}

// startLive is start without a snapshot. It begins before it answers: no snapshot would make
// up for what a client does as soon as it has the answer.
func (e *Engine) startLive(c *Connection, s *subscription, l Limits, m *protocol.ViewMessage) *protocol.Issue {
	e.hold(s)
	t := s.lock()
	st, issue := e.beginLocked(s, nil, l)
	t.Unlock()
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageViewSubscribed, View: m})
	if issue != nil {
		e.release(s)
		return issue
	}
	s.catchUp = st
	c.subs.Add(s)
	e.advance(c, s)
	return nil
}

// hold keeps the type that s is about, and makes it if there is none, from before s begins until
// release. A derived view holds its type itself.
func (e *Engine) hold(s *subscription) {
	if s.base != nil {
		t := s.base.root.typ
		s.base = e.holdType(t.App, t.Name).base(s.base.index)
	}
}

func (e *Engine) release(s *subscription) {
	if s.base != nil {
		e.releaseType(s.base.root)
	}
}

// beginLocked counts s in its feed and prepares its catch-up.
func (e *Engine) beginLocked(s, old *subscription, l Limits) (catchUp, *protocol.Issue) {
	if s.derived != nil && s.derived.isHiddenLocked(l.Clearance) {
		return nil, unknownView(s.view()) // removed, or closed to this reader, this moment
	}
	var st catchUp
	var rows int
	maxRows := l.MaxRows
	if maxRows <= 0 {
		maxRows = math.MaxInt
	}
	switch {
	case s.derived != nil:
		st, rows = e.beginWindowLocked(s, old, maxRows)
	default:
		st, rows = e.beginBaseLocked(s, old)
	}
	if rows > maxRows {
		e.forgetLocked(s)
		e.metrics.refused.Inc()
		return nil, tooManyRows(rows, maxRows)
	}
	e.attachLocked(s.feed)
	if s.derived == nil {
		s.base.subs++
	}
	return st, nil
}

// forgetLocked drops what only s needed.
func (e *Engine) forgetLocked(s *subscription) {
	if s.derived != nil {
		s.derived.forgetLocked(s.window)
		return
	}
	s.base.forgetLocked(s.feed)
}

// end takes s out of everything.
func (e *Engine) end(c *Connection, s *subscription) {
	s.Close()
	c.countUsage(s)
	c.subs.Remove(s)
	st := catchUpOf[*windowCatchUp](s)
	c.dropHad(st)
	s.catchUp = nil
	c.count(s)
	t := s.lock()
	if st != nil && !st.isWaiting {
		s.window.releaseSentLocked()
	}
	e.detachLocked(s.feed)
	if s.derived == nil {
		s.base.subs--
	}
	e.forgetLocked(s)
	t.Unlock()
	e.release(s)
}

// Unsubscribe reports whether there was something to end (views 3.6).
func (e *Engine) Unsubscribe(c *Connection, view string, key *string) bool {
	s := c.subs.Get(newID(view, key))
	if s == nil {
		return false
	}
	e.end(c, s)
	return true
}

// Leave ends all subscriptions of c. Idempotent.
func (e *Engine) Leave(c *Connection) {
	for c.Subscriptions() > 0 {
		for s := range c.subs.All() {
			e.end(c, s)
			break
		}
	}
}

// joinLocked puts s on its topic, held, and returns the position at which the state is what
// the lock shows.
func (e *Engine) joinLocked(c *Connection, s *subscription) protocol.Position {
	if s.derived != nil {
		c.subscriber.Follow(&s.Subscription, &s.feed.topic)
	} else { // what it is of can be read by number
		c.subscriber.FollowWithoutKeys(&s.Subscription, &s.feed.topic)
	}
	return e.bus.Position(s.feed.topic)
}
