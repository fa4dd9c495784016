package socket

import (
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/websocket"
)

// MaxTraced is how many connections of an engine may be traced at a time: the notes of each need
// memory, and people read the log.
const MaxTraced = 100

// Why a connection is not traced.
var (
	ErrNotOpen       = errors.New("socket: the connection is not open")
	ErrTooManyTraces = errors.New("socket: too many connections are traced already")
)

// Tracer is told what goes over one connection.
type Tracer interface {
	// Note takes one message received, or one frame on its way to be written. payload is valid
	// during the call only. It is called with locks held: it must not block and not call the
	// connection.
	Note(isInbound bool, op Opcode, payload []byte)
	// Flush writes what was noted: from time to time, and once more when the tracing ends. Calls
	// may overlap with Note, not with each other.
	Flush(isLast bool)
}

// traces are the connections that are traced. A connection that is not costs one look at a
// flag that lies beside others that are looked at anyway.
type traces struct {
	mu    sync.Mutex
	conns map[*Conn]trace // guarded by mu
}

type trace struct {
	tracer Tracer
	until  uint32      // tick
	flush  *sync.Mutex // held over Tracer.Flush
}

// Trace gives all messages from now on to t, for so long or until the connection ends, in place of
// an earlier tracer. d <= 0 ends the trace, and t is not used. ErrNotOpen and ErrTooManyTraces
// change nothing.
func (c *Conn) Trace(t Tracer, d time.Duration) error {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return ErrNotOpen
	}
	var before trace
	var err error
	if d > 0 {
		before, err = c.eng.traces.put(c, trace{t, c.eng.present() + uint32((d+tick-1)/tick) + 1, new(sync.Mutex)})
		c.isTraced = err == nil
	} else {
		before, c.isTraced = c.eng.traces.take(c), false
	}
	c.mu.Unlock()
	before.write(true)
	return err
}

// IsTraced reports whether a Tracer is told what goes over the connection.
func (c *Conn) IsTraced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isTraced
}

// admits reports whether a message still goes to the handler. The turn is held.
func (c *Conn) admits(op Opcode, payload []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isTraced {
		if t := c.eng.traces.of(c); t.tracer != nil {
			t.tracer.Note(true, op, payload)
		}
	}
	return c.state == open
}

// noteLocked notes the frames of segs.
func (c *Conn) noteLocked(segs []bufpool.Segment) {
	t := c.eng.traces.of(c)
	if t.tracer == nil {
		return
	}
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			h, n, err := websocket.ParseHeader(b)
			if err != nil || n == 0 || len(b)-n < h.Length {
				break // not frames: the writer's error
			}
			t.tracer.Note(false, h.Op, b[n:n+h.Length])
			b = b[n+h.Length:]
		}
	}
}

func (t trace) write(isLast bool) {
	if t.tracer == nil {
		return
	}
	t.flush.Lock()
	defer t.flush.Unlock()
	t.tracer.Flush(isLast)
}

func (ts *traces) of(c *Conn) trace {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.conns[c]
}

func (ts *traces) put(c *Conn, t trace) (before trace, err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	before, has := ts.conns[c]
	if !has && len(ts.conns) >= MaxTraced {
		return trace{}, ErrTooManyTraces
	}
	if ts.conns == nil {
		ts.conns = make(map[*Conn]trace)
	}
	ts.conns[c] = t
	return before, nil
}

func (ts *traces) take(c *Conn) trace {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.conns[c]
	delete(ts.conns, c)
	return t
}

// tick gives every traced connection a turn, in which flush is called.
func (ts *traces) tick() {
	ts.mu.Lock()
	if len(ts.conns) == 0 {
		ts.mu.Unlock()
		return
	}
	all := make([]*Conn, 0, len(ts.conns))
	for c := range ts.conns {
		all = append(all, c)
	}
	ts.mu.Unlock()
	for _, c := range all {
		c.post(eventTrace)
	}
}

// flush writes what was noted of c, and ends the tracing when its time is over. The turn is
// held, so that writing a log delays this connection only.
func (ts *traces) flush(c *Conn) {
	t := ts.of(c)
	if t.tracer == nil {
		return
	}
	if c.eng.now.Load() < t.until {
		t.write(false)
		return
	}
	ts.end(c, t.tracer)
}

// end ends the tracing of c by t, or by whomever if t is nil.
func (ts *traces) end(c *Conn, t Tracer) {
	c.mu.Lock()
	if now := ts.of(c); now.tracer == nil || t != nil && now.tracer != t {
		c.mu.Unlock()
		return // another one has begun
	}
	c.isTraced = false
	ended := ts.take(c)
	c.mu.Unlock()
	ended.write(true)
}
