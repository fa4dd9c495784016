package view

import "github.com/millrace/millrace/internal/catchup"

// Resume goes on with snapshots and brings lagging subscriptions up to date, while the
// connection takes it. It is called whenever the connection has said that it is congested and
// no longer is.
func (e *Engine) Resume(c *Connection) {
	c.isWaiting = false
	for isSkipped := true; isSkipped; {
		isSkipped = false
		for turn, s := range c.subs.Turns(int(c.turn)) {
			switch e.resume(c, s) {
			case heldUp:
				c.turn = int32(turn + 1) // so that none waits for ever behind a long one
				return
			case skipped:
				isSkipped = true
			case upToDate:
			}
		}
	}
}

// progress of a subscription in Resume.
type progress uint8

const (
	upToDate progress = iota
	skipped           // it waits for others of the connection
	heldUp            // the connection takes no more
)

func (e *Engine) resume(c *Connection, s *subscription) progress {
	if c.isLost || s.catchUp == nil && c.isHeldUp() { // until it can be sent, the hub notes it in bounded memory
		return heldUp
	}
	isLagging := e.catchUp(c, s)
	e.advance(c, s)
	switch {
	case s.catchUp == nil && !isLagging:
		return upToDate
	case c.mustWait(s):
		return skipped
	default:
		return heldUp
	}
}

// catchUp takes s off its topic when it lags and prepares what it must be sent. It reports whether s
// lags still, because it must wait for others.
func (e *Engine) catchUp(c *Connection, s *subscription) (isLagging bool) {
	if s.catchUp != nil || c.isLost {
		return false
	}
	lag, isLagging := s.Lag()
	switch {
	case !isLagging:
		return false
	case s.derived != nil:
		return e.catchUpWindow(c, s)
	}
	s.Close()
	e.metrics.resyncs.Inc()
	if _, isOne := s.entityKey(); isOne {
		s.catchUp = catchup.LaggingKey()
		return false
	}
	s.catchUp = catchup.LaggingList(lag.From - min(lag.From, 1))
	return false
}

func (e *Engine) catchUpWindow(c *Connection, s *subscription) (isLagging bool) {
	if c.mustWait(s) {
		return true // the hub notes what it misses
	}
	t := s.lock()
	st := e.leaveLocked(s)
	if st != nil {
		s.window.keepSentLocked(st.seen)
		s.catchUp = st
	}
	t.Unlock()
	if st == nil {
		e.lose(c)
		return false
	}
	c.count(s)
	return false
}

// leaveLocked takes s, of a window, off its topic and returns the way to the present from what the
// connection was given: all keys since the first frame that it was not, or else those that the hub
// noted and all since. It is nil when that is not known any more.
func (e *Engine) leaveLocked(s *subscription) *windowCatchUp {
	w, from := s.window, max(s.since, s.Passed())
	lag, isLagging := s.Lag()
	s.Close()
	if isLagging {
		e.metrics.resyncs.Inc()
		from = lag.From - min(lag.From, 1)
	}
	keys, ok := w.sent.AppendSince(nil, from)
	if !ok && isLagging && !lag.IsOverflow {
		for key := range lag.Keys {
			keys = append(keys, key)
		}
		keys, ok = w.sent.AppendSince(keys, lag.To)
	}
	if !ok {
		return nil
	}
	return &windowCatchUp{seen: w.sent.Last(), changed: keys}
}
