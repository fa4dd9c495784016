package views

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// outlet is the way of data to one connection: it holds back what the egress budget does
// not allow, and tells metering. Safe for concurrent use; it never blocks and calls neither
// the hub nor the view engine, so the hub may call it under its lock.
type outlet struct {
	*Sessions
	conn  *socket.Conn // immutable
	usage *usage       // immutable; nil unless metering is on

	grant atomic.Pointer[grant] // never nil; replaced by a refresh

	mu      locks.Mutex
	egress  limit.Window // guarded by mu
	isSpent bool         // a frame was held back: the connection ends; guarded by mu
}

var _ hub.Conn = (*outlet)(nil)

func (o *outlet) init(ss *Sessions, c *socket.Conn, g *grant) {
	o.Sessions, o.conn = ss, c
	o.grant.Store(g)
	if ss.o.Meter.IsOn() {
		o.usage = newUsage(ss.group.Now())
	}
}

// Handler is the session that o belongs to; nil before it has begun and after its end.
func (o *outlet) Handler() socket.Handler { return o.conn.Handler() }

// IsCongested reports whether the hub should not write now.
func (o *outlet) IsCongested(more int) bool { return o.conn.IsCongested(more) }

// WriteSegments writes frames of the hub, as far as the budget goes.
func (o *outlet) WriteSegments(segs []bufpool.Segment) {
	o.note()
	if o.grant.Load().maxBytes == 0 {
		o.conn.WriteSegments(segs)
		return
	}
	allowed, isAll := o.cut(segs)
	if len(allowed) > 0 {
		o.conn.WriteSegments(allowed)
	}
	if !isAll {
		o.overdraw()
	}
}

// cut counts the frames of segs, up to the first that the budget does not allow, which is
// not counted (views 2).
func (o *outlet) cut(segs []bufpool.Segment) (allowed []bufpool.Segment, isAll bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.group.Now()
	for i, s := range segs {
		b, end, frames := s.Bytes(), 0, 0
		for end < len(b) {
			h, n, err := websocket.ParseHeader(b[end:])
			if n == 0 || err != nil {
				h.Length, n = len(b)-end, 0 // not a frame: the hub's error; count all of it
			}
			if !o.spendLocked(now, h.Length) {
				if frames > 0 {
					segs = append(segs[:i:i], bufpool.Segment{Buf: s.Buf, Start: s.Start, End: s.Start + end, Frames: frames})
					return segs, false
				}
				return segs[:i], false
			}
			end += n + h.Length
			frames++
		}
	}
	return segs, true
}

// send sends one message of data, unless the budget does not allow it.
func (o *outlet) send(payload []byte) bool {
	if o.grant.Load().maxBytes != 0 {
		o.mu.Lock()
		ok := o.spendLocked(o.group.Now(), len(payload))
		o.mu.Unlock()
		if !ok {
			o.overdraw()
			return false
		}
	}
	o.conn.SendBinary(payload)
	return true
}

// spendLocked takes n bytes of payload, which is what clients are told is counted, off the
// budget. After one refusal nothing is let through, or a frame would be missing between.
func (o *outlet) spendLocked(now time.Time, n int) bool {
	if !o.isSpent && !o.egress.Spend(now, int64(n), o.grant.Load().maxBytes, o.o.Limits.budgetWindow()) {
		o.isSpent = true
		o.group.Reported(protocol.IssueEgressLimit.Code)
	}
	return !o.isSpent
}

// hasSpent reports whether the budget has ended the connection.
func (o *outlet) hasSpent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.isSpent
}

// overdraw ends the connection, behind what was allowed. Only the first close counts.
func (o *outlet) overdraw() { o.conn.Close(o.spent) }

// setTimer arms the connection's timer, earlier if metering waits for it.
func (o *outlet) setTimer(d time.Duration) {
	o.conn.SetTimer(d)
	if u := o.usage; u != nil && u.isDue.Load() {
		o.conn.SetTimer(min(d, flushInterval))
	}
}
