package view

import (
	"github.com/millrace/millrace/internal/hub"
)

// Resume goes on with snapshots and brings lagging subscriptions up to date, while the
// connection takes it. It is called whenever the connection has said that it is congested and
// no longer is.
func (e *Engine) Resume(c *Connection) {
	c.isWaiting = false
	for isSkipped := true; isSkipped; {
		isSkipped = false
		for turn, s := range c.subs.Turns(int(c.turn)) {
			if !e.resume(c, s) {
				c.turn = int32(turn + 1) // so that none waits for ever behind a long one
				return
			}
			isSkipped = isSkipped || s.catchUp != nil
		}
	}
}

// resume reports whether others may go on: s is up to date, or waits for one of them.
func (e *Engine) resume(c *Connection, s *subscription) bool {
	if c.isLost || s.catchUp == nil && c.isHeldUp() { // until it can be sent, the hub notes it in bounded memory
		return false
	}
	e.catchUp(c, s)
	e.advance(c, s)
	return s.catchUp == nil || c.mustWait(s)
}

// catchUp takes s off its topic when it lags and prepares what it must be sent.
func (e *Engine) catchUp(c *Connection, s *subscription) {
	if s.catchUp != nil || c.isLost {
		return
	}
	lag, isLagging := s.Lag()
	if !isLagging {
		return
	}
	s.Close()
	e.metrics.resyncs.Inc()
	if s.derived != nil {
		st, ok := e.missed(s, lag)
		if !ok {
			e.lose(c)
			return
		}
		s.catchUp = st
		return
	}
	if _, isOne := s.entityKey(); isOne {
		s.catchUp = &keyCatchUp{isWanted: true, isAbsence: true}
		return
	}
	from := lag.From - min(lag.From, 1)
	s.catchUp = &listCatchUp{live: from, dead: from}
}

// missed is what a lagging subscription of a window must look at: all keys since the first
// frame that it missed, or else those that the hub noted and all since.
func (e *Engine) missed(s *subscription, lag hub.Lag) (*windowCatchUp, bool) {
	t := s.rlock()
	defer t.RUnlock()
	w := s.window
	st := &windowCatchUp{seen: w.sent.last}
	if keys, ok := w.sent.since(lag.From - min(lag.From, 1)); ok {
		st.changed = keys
		return st, true
	}
	keys, ok := w.sent.since(lag.To)
	if !ok || lag.IsOverflow {
		return nil, false
	}
	for key := range lag.Keys {
		keys = append(keys, key)
	}
	st.changed = keys
	return st, true
}
