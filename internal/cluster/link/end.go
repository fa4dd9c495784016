package link

import (
	"math"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// End is one end of a link: all that a node keeps about its link to one peer, in one life of the node. It is not safe for
// concurrent use.
//
// The caller hands over what happens, with the time, and writes the frames that Next returns: when it has called a
// method, and at NextTime. Without a connection it does not call Next.
type End struct {
	options Options
	self    cluster.Incarnation
	peer    cluster.Incarnation // for which messages are; zero: not known yet
	isHeard bool
	out     sender
	in      receiver

	number  uint64 // of the last frame written
	heard   uint64 // the highest number of a frame of the peer's life
	heardAt time.Duration

	isUrgent bool          // a frame is due now
	beatAt   time.Duration // a frame is due then even if nothing waits
	ackAt    time.Duration // what was received is to be confirmed by then; never: nothing is
}

// Options of an end. Zero fields mean the default. Both ends of a link have the same.
type Options struct {
	// MaxBytes bounds the messages that an end keeps: those that wait, and those that the peer has not
	// confirmed. Default 8 MiB.
	MaxBytes int
	// MaxTopics is how many topics a gap names. Default 1,024.
	MaxTopics int
	// Heartbeat is the longest time between two frames. Default 0.5 s.
	Heartbeat time.Duration
	// Confirm is the longest time between the receipt of a message and its confirmation. An end confirms earlier
	// when it has received an eighth of MaxBytes. Default 50 ms.
	Confirm time.Duration
	// Faults are of the simulator's tests only. Default none.
	Faults cluster.Faults
}

// never is later than any time.
const never = time.Duration(math.MaxInt64)

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 20
	}
	if o.MaxTopics == 0 {
		o.MaxTopics = 1024
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 500 * time.Millisecond
	}
	if o.Confirm == 0 {
		o.Confirm = 50 * time.Millisecond
	}
	return o
}

// New is the end of a node in a life that begins. Peer is the life of the peer that the node has heard in an earlier life of
// its own; zero: none. A first frame is due.
func New(self, peer cluster.Incarnation, now time.Duration, o Options) *End {
	o = o.withDefaults()
	return &End{options: o, self: self, peer: peer, out: newSender(&o), in: newReceiver(&o), heardAt: now, isUrgent: true, ackAt: never}
}

// Send queues a message for the peer. It never blocks. The message is for the life of the peer that is known; before one is
// known, for the one that is heard first.
//
// A message with a method Bulk() bool that returns true waits for live ones. It should take at most 64 KiB. Its sender
// sees to the order between it and live messages of the same topic: WaitingBulk says when it has been written.
//
// When more waits than the end may keep, it drops messages: first those that were written, the oldest first, since the
// peer has perhaps received them; then bulk; then live ones, the oldest first. A message with a method
// Loss() cluster.Loss says what its loss takes away; of another one it is everything.
func (e *End) Send(m cluster.Message) { e.out.send(m) }

// Room is how many bytes may be sent now until a message is dropped. A message takes its size and a little more.
func (e *End) Room() int { return e.out.maxBytes - e.out.bytes }

// WaitingBulk is how many bulk messages have never been written.
func (e *End) WaitingBulk() int { return e.out.bulk.length }

// Peer is the life of the peer that is known last; zero: none.
func (e *End) Peer() cluster.Incarnation { return e.peer }

// Silent is how long the peer has not been heard; before it is heard, how old the end is.
func (e *End) Silent(now time.Duration) time.Duration { return now - e.heardAt }

// Reset makes known that the connection was lost, or that there is another one: all that is not confirmed is sent again.
func (e *End) Reset() {
	e.out.rewind()
	e.isUrgent = true
}

// NextTime is when Next has a frame; zero: now.
func (e *End) NextTime() time.Duration {
	if e.isUrgent || e.peer != 0 && e.out.hasWork() {
		return 0
	}
	return min(e.beatAt, e.ackAt)
}

// Next makes f the frame that is to be written now, and reports whether there is one. Its messages take at most maxBytes,
// or are one larger message. Next uses the slice that f has.
//
//millrace:hot BenchmarkLink TestNothingIsAllocatedForAMessage
func (e *End) Next(now time.Duration, maxBytes int, f *Frame) bool {
	if now < e.NextTime() {
		return false
	}
	clear(f.Messages)
	e.number++
	*f = Frame{From: e.self, To: e.peer, Number: e.number, Messages: f.Messages[:0]}
	if e.peer != 0 {
		e.out.fill(f, maxBytes)
		e.in.fill(f)
	}
	e.isUrgent, e.ackAt, e.beatAt = false, never, now+e.options.Heartbeat
	return true
}

// Receive takes a frame of the peer and returns what it has brought. It keeps no reference to f.
//
// It drops a frame of an earlier life of the peer. Of a frame that is meant for an earlier life of this node, or that does
// not say for which, it takes only that the peer lives.
//
//millrace:hot BenchmarkLink TestNothingIsAllocatedForAMessage
func (e *End) Receive(now time.Duration, f *Frame) (got Received) {
	switch {
	case f.From == 0 || f.From < e.peer:
		return got
	case f.To > e.self:
		got.Superseded = f.To
		return got
	case f.From > e.peer || !e.isHeard:
		e.begin(f.From)
		got.Began = f.From
	}
	if f.Number > e.heard { // a late frame is no sign of life
		e.heard, e.heardAt = f.Number, now
	}
	if f.To != e.self {
		return got
	}
	got.Lost = e.out.confirm(f)
	if e.in.receive(f, &got) || e.in.bytes >= e.options.MaxBytes/8 {
		e.isUrgent = true
	}
	if len(f.Messages) > 0 || f.Gap != nil {
		e.ackAt = min(e.ackAt, now+e.options.Confirm)
	}
	return got
}

// begin makes a life of the peer the one that is heard.
func (e *End) begin(peer cluster.Incarnation) {
	if e.peer != 0 && peer > e.peer {
		e.out.begin()
	}
	e.in.begin()
	e.peer, e.isHeard, e.heard, e.isUrgent, e.ackAt = peer, true, 0, true, never
}
