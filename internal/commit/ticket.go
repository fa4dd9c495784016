package commit

// Ticket is where one caller waits for its answer. It may be used again once Queue.Do has
// returned, but for an ErrUncertain.
type Ticket struct {
	done chan struct{} // one slot

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
