package commit

import "time"

// soon is how long a caller waits for its answer before it asks whether its context has ended.
// Most answers come within it, and the context of a request costs more from the first question on.
const soon = 20 * time.Millisecond

// Ticket is where one caller waits for its answer. It may be used again once Queue.Do has
// returned, but for an ErrUncertain.
type Ticket struct {
	done chan struct{} // one slot

	timer *time.Timer // ends answeredSoon; owned by the caller, nil before its first wait

	// Owned by the caller, and by the Committer from Store until the answer.
	err        error
	isAnswered bool
}

// NewTicket makes a ticket.
func NewTicket() *Ticket { return &Ticket{done: make(chan struct{}, 1)} }

// Answer sets what the caller gets, whatever becomes of the rest of the group. A Committer calls it
// in Store, Install or Refuse.
func (t *Ticket) Answer(err error) { t.err, t.isAnswered = err, true }

// settle hands the answer to the caller: the one that is set or, without one, err.
func (t *Ticket) settle(err error) {
	if !t.isAnswered {
		t.err = err
	}
	t.done <- struct{}{}
}

// answeredSoon waits for the answer, not longer than soon. It reports whether it has come.
func (t *Ticket) answeredSoon() bool {
	if t.timer == nil {
		t.timer = time.NewTimer(soon)
	} else {
		t.timer.Reset(soon)
	}
	defer t.timer.Stop()
	select {
	case <-t.done:
		return true
	case <-t.timer.C:
		return false
	}
}
