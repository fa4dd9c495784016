package link

import "github.com/millrace/millrace/internal/cluster"

// sender is the stream of an end to its peer.
//
// Invariants: confirmed < first <= cursor <= next. Window holds the messages from first up to next, which have been
// written. What lies between confirmed and first is the gap, and dropped says what it takes away: there is one gap at
// most, at the front. A message gets its sequence when it is first written, or dropped.
type sender struct {
	maxBytes int
	bytes    int // of window, live and bulk

	window    queue
	confirmed uint64 // the peer has received, or passed over, what is up to here
	missed    uint64 // how many of these the peer has passed over
	first     uint64
	cursor    uint64 // the sequence to be written next in this round
	next      uint64 // the sequence of the next new message
	round     uint64

	dropped  dropped
	isGapDue bool // the next frame tells of the gap

	live, bulk queue // what was never written
	isBulkTurn bool
}

// perMessage is what a message counts besides its size: what the end holds for it.
const perMessage = 64

// newSender is a stream that begins at 1.
func newSender(o *Options) sender {
	return sender{maxBytes: o.MaxBytes, first: 1, cursor: 1, next: 1, round: 1, dropped: dropped{maxTopics: o.MaxTopics}}
}

// begin starts the stream again, to another life of the peer.
func (s *sender) begin() {
	s.dropped.forget()
	*s = sender{maxBytes: s.maxBytes, first: 1, cursor: 1, next: 1, round: 1, dropped: s.dropped}
}

// send queues a message, and drops others, or it, as far as the bound demands.
func (s *sender) send(m cluster.Message) {
	e := entry{m, m.Size() + perMessage}
	s.bytes += e.size
	if b, ok := m.(interface{ Bulk() bool }); ok && b.Bulk() {
		s.bulk.push(e)
	} else {
		s.live.push(e)
	}
	for s.bytes > s.maxBytes {
		s.drop()
	}
}

// drop drops the oldest message that was written, which the peer has perhaps received. If there is none, it drops the
// oldest that waits, bulk before live. Dropping in this order keeps the gap at the front.
func (s *sender) drop() {
	from := &s.window
	if from.length == 0 {
		s.next++ // as if it had been written
		if from = &s.bulk; from.length == 0 {
			from = &s.live
		}
	}
	e := from.pop()
	s.bytes -= e.size
	s.dropped.note(s.first, s.confirmed, e.message)
	s.first++
	if s.cursor < s.first {
		s.cursor = s.first
		s.isGapDue = true // in this round the peer does not get it
	}
}

// hasWork reports whether there is something to write at once.
func (s *sender) hasWork() bool {
	return s.isGapDue || s.cursor < s.next || s.live.length > 0 || s.bulk.length > 0
}

// fill puts what is to be written next into f.
func (s *sender) fill(f *Frame, maxBytes int) {
	f.Round, f.First = s.round, s.cursor
	if s.isGapDue {
		f.Gap = s.gap(s.first - 1)
		s.isGapDue = false
	}
	room := maxBytes
	for s.cursor < s.next {
		if !s.put(f, s.window.at(int(s.cursor-s.first)), &room) { //nolint:gosec // less than what window holds
			return
		}
	}
	s.fillNew(f, room)
}

// fillNew puts messages into f that were never written: live ones, then one bulk message. A frame without one is
// followed by a frame that begins with one, however many live messages wait.
func (s *sender) fillNew(f *Frame, room int) {
	hasBulk := s.isBulkTurn && s.putNew(f, &s.bulk, &room)
	for s.putNew(f, &s.live, &room) {
	}
	hasBulk = hasBulk || s.putNew(f, &s.bulk, &room)
	s.isBulkTurn = !hasBulk && s.bulk.length > 0
}

// putNew puts the first message of q into f and gives it its sequence, if there is one and f has room.
func (s *sender) putNew(f *Frame, q *queue, room *int) bool {
	if q.length == 0 || !s.put(f, q.at(0), room) {
		return false
	}
	s.window.push(q.pop())
	s.next++
	return true
}

// put puts the message at the cursor into f, if f has room. A frame has room for one message of any size.
func (s *sender) put(f *Frame, e *entry, room *int) bool {
	if len(f.Messages) > 0 && e.size > *room {
		return false
	}
	f.Messages = append(f.Messages, e.message)
	*room -= e.size
	s.cursor++
	return true
}

// gap is what the peer has not confirmed, up to a sequence that was dropped; nil: nothing.
func (s *sender) gap(last uint64) *Gap {
	if s.confirmed >= last {
		return nil
	}
	return &Gap{First: s.confirmed + 1, Last: last, Loss: s.dropped.after(s.confirmed)}
}

// confirm takes what the peer has confirmed. It returns the gap that the peer has passed over.
func (s *sender) confirm(f *Frame) (lost *Gap) {
	if f.Confirmed > s.confirmed && f.Confirmed < s.next {
		if f.Missed > s.missed {
			lost = s.gap(min(f.Confirmed, s.first-1))
			s.missed = f.Missed
		}
		s.confirmed = f.Confirmed
		s.forget()
	}
	if f.Resend == s.round {
		s.rewind()
	}
	return lost
}

// forget forgets what is confirmed.
func (s *sender) forget() {
	for s.window.length > 0 && s.first <= s.confirmed {
		s.bytes -= s.window.pop().size
		s.first++
	}
	s.cursor = max(s.cursor, s.first)
	if s.confirmed+1 == s.first { // no gap
		s.dropped.forget()
	}
}

// rewind goes back to what is not confirmed.
func (s *sender) rewind() {
	s.round++
	s.cursor = s.first
	s.isGapDue = s.confirmed+1 < s.first
}
