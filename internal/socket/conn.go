package socket

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/sendqueue"
	"github.com/millrace/millrace/internal/timerwheel"
	"github.com/millrace/millrace/internal/websocket"
)

// Opcode is the type of a message: OpText or OpBinary.
type Opcode = websocket.Opcode

// Types of messages.
const (
	OpText   = websocket.OpText
	OpBinary = websocket.OpBinary
)

// Handler is the session on a connection. Its methods are called one at a time per
// connection, on a borrowed goroutine: they may block without holding up others.
type Handler interface {
	// Message takes one whole message. payload is valid, and may be changed, during the
	// call only. Text has been checked to be UTF-8.
	Message(c *Conn, op Opcode, payload []byte)
	// Timeout says that the time given to SetTimer has come.
	Timeout(c *Conn)
	// Drained says that everything queued has been written since Conn.IsCongested reported
	// true: once, however often it did, and never for a connection that is closing.
	Drained(c *Conn)
	// Closed is called exactly once, last, as soon as the connection is dead to the
	// application, even while the closing handshake goes on.
	Closed(c *Conn, reason CloseReason)
}

// CloseReason says why a connection ended; a bounded set, fit for a metric's label.
type CloseReason string

// Reasons of a close.
const (
	ReasonPeer         CloseReason = "peer"          // the peer sent a close frame
	ReasonLost         CloseReason = "lost"          // the peer vanished without one
	ReasonServer       CloseReason = "server"        // Conn.Close
	ReasonSlowConsumer CloseReason = "slow_consumer" // the queue was full, or nothing of it was taken for long
	ReasonProtocol     CloseReason = "protocol"      // the peer broke RFC 6455 or a size limit
	ReasonShutdown     CloseReason = "shutdown"      // the engine ended
)

// Endpoint is what connections of one kind share. It must not change once in use.
type Endpoint struct {
	MaxMessage     int  // bytes of one inbound message; a longer one closes with 1009
	MaxQueueFrames int  // frames that may wait to be written
	MaxQueueBytes  int  // bytes that may wait; zero bounds frames only; one frame always fits an empty queue
	CongestedBytes int  // bytes that may wait before IsCongested; zero means half of MaxQueueBytes, at most 256 KiB
	DropWhenFull   bool // drop broadcasts for a slow consumer instead of disconnecting it

	// StallTimeout is how long a congested peer may take nothing before it is disconnected as a
	// slow consumer, within a second; zero means 30 s.
	StallTimeout time.Duration

	// SlowConsumer is what a slow consumer is told before it is cut.
	SlowConsumer Disconnect
}

// limits are how much may wait (pusher 7.7).
func (ep *Endpoint) limits() sendqueue.Limits {
	return sendqueue.Limits{Frames: ep.MaxQueueFrames, Bytes: ep.MaxQueueBytes}
}

// Disconnect is how the server ends a connection: a message unless it is empty, then a close frame
// with Code and Reason, which is cut to 123 bytes.
type Disconnect struct {
	Message  []byte
	IsBinary bool // the message
	Code     int
	Reason   string
}

// state of a connection, guarded by Conn.mu. It only grows.
type state uint8

const (
	corked  state = iota // writes wait for Start
	open                 // messages flow
	closing              // dead to the application; the closing handshake goes on
	cutting              // to be closed by the next turn, whatever waits
	closed               // the descriptor is gone
)

// Conn is one WebSocket connection. All exported methods are safe from any goroutine and
// none of them blocks.
//
// Invariants: an idle Conn owns no goroutine (on a poller) and no buffer; the queue never
// holds more than the Endpoint allows and one frame; while it is congested nothing is read, so
// that no more replies are asked for; after Close no message is written
// but the messages of a Disconnect; the holder of the turn alone closes the descriptor, so that no
// read can hit a descriptor that another connection has by then.
type Conn struct {
	eng    *Engine
	ep     *Endpoint
	wheel  *timerwheel.Wheel[Conn]
	poller *poller // nil on a stream
	stream *stream // nil on a poller

	fd       int32 // on a poller
	isClient bool  // the peer is the server: frames go out masked and come in unmasked
	isSpare  bool  // it has a descriptor that is kept for others; immutable

	events   atomic.Uint32 // what the turn has to do, and whether a goroutine has it
	lastRead atomic.Uint32 // tick of the last byte received, or taken while reading pauses
	isPaused atomic.Bool   // too much waits to be written: nothing is read; changed under mu

	// Owned by the turn, and changed under mu, so that others can ask for it.
	handler Handler

	// Owned by the turn.
	partial   *partial // an incomplete frame or message, nil between messages
	toldClose bool     // Handler.Closed has been called
	isBroken  bool     // the peer broke the protocol: what it sends is thrown away

	opened uint32 // tick of the upgrade; immutable

	timer timerwheel.Timer[Conn] // of wheel

	mu          sync.Mutex // guards what follows; held over non-blocking writes, never over waits
	state       state
	writeArmed  bool // the poller reports when the socket can be written again
	peerClosed  bool // a close frame was received: cut as soon as the queue is empty
	tellDrained bool // IsCongested was true: tell the handler when the queue is empty
	isTraced    bool // the engine has a Tracer for it
	closeCode   uint16
	reason      CloseReason
	// queue is nil when nothing waits. While reading pauses its Note is the tick at which the peer has
	// last taken something.
	queue       *sendqueue.Queue
	upgradeHead []byte // corked: the response to the upgrade
}

// Send sends or queues one text message. It is a reply: never dropped by itself.
func (c *Conn) Send(payload []byte) { c.reply(OpText, payload) }

// SendBinary is Send for one binary message.
func (c *Conn) SendBinary(payload []byte) { c.reply(OpBinary, payload) }

// Ping sends a ping frame, which the peer answers by itself (RFC 6455 5.5.2). The answer counts for
// IdleFor.
func (c *Conn) Ping() { c.reply(websocket.OpPing, nil) }

// reply sends one frame that is never dropped by itself.
func (c *Conn) reply(op Opcode, payload []byte) {
	buf := bufpool.Get(len(payload) + websocket.MaxHeader)
	buf.B = c.appendFrame(buf.B, op, payload)
	c.write([]bufpool.Segment{{Buf: buf, End: len(buf.B), Frames: 1}}, true)
	buf.Release()
}

// WriteSegments sends or queues whole frames, in order. It retains the buffers it must keep
// beyond the call. Frames that do not fit the queue make a slow consumer.
//
//millrace:hot BenchmarkWrite TestWriteAllocs
func (c *Conn) WriteSegments(segs []bufpool.Segment) { c.write(segs, false) }

// SetTimer arms the connection's one timer to fire d from now, with an accuracy of 100 ms
// and never early, replacing the former one. d <= 0 disarms it.
func (c *Conn) SetTimer(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state <= open { // a closing connection needs its timer for itself
		c.setTimerLocked(d)
	}
}

func (c *Conn) setTimerLocked(d time.Duration) {
	if d <= 0 {
		c.wheel.Set(&c.timer, c, 0)
		return
	}
	// The present tick has begun already: one more makes it never early.
	c.wheel.Set(&c.timer, c, c.eng.present()+uint32((d+tick-1)/tick)+1)
}

// IdleFor is the time since anything at all was received, within 100 ms.
func (c *Conn) IdleFor() time.Duration {
	last := c.lastRead.Load() // before the clock is read: it only grows
	return time.Duration(c.eng.present()-last) * tick
}

// appendFrame frames a payload as this side must.
func (c *Conn) appendFrame(dst []byte, op Opcode, payload []byte) []byte {
	if c.isClient {
		return websocket.AppendMaskedFrame(dst, op, payload, maskKey())
	}
	return websocket.AppendFrame(dst, op, payload)
}
