package webhook

import "context"

// Part is some events of a batch. The parts of a batch are its events in the order of Index.
// Numbers of batches are below 1<<51, indexes below 1<<12.
type Part struct {
	Batch         uint64 // its number
	Index         int
	App, Endpoint string
	Delivery      string // of the batch, the same in all its parts
	Time          int64  // of the batch: Unix milliseconds of its oldest event
	Count         int    // events of the part
	Events        []byte // JSON objects with commas between; immutable
}

// Told is what receivers have been told of a subject last.
type Told struct {
	Subject   Subject
	IsPresent bool
}

// Sequence is the number of the last event of a user of an app.
type Sequence struct {
	App  string
	Last uint64
}

// Commit is what a store makes durable in one step, in the order of the fields.
type Commit struct {
	Parts     []Part
	Done      []uint64   // batches whose parts go; a number may be unknown
	Dead      []Letter   // no number is there yet
	Forget    []uint64   // letters that go; a number may be unknown
	Told      []Told     // each subject once; only those who are present are kept
	Sequences []Sequence // replace what is kept of the app
}

// IsEmpty reports whether there is nothing to store.
func (c *Commit) IsEmpty() bool {
	return len(c.Parts)+len(c.Done)+len(c.Dead)+len(c.Forget)+len(c.Told)+len(c.Sequences) == 0
}

// Loader takes what is stored.
type Loader struct {
	Part     func(Part) error    // by batch and index
	Letter   func(Letter) error  // by number, without Events
	Subject  func(Subject) error // by app, kind, channel and user
	Sequence func(Sequence) error
}

// Store keeps webhooks over a restart and a kill. Implementations pass storetest.
//
// The subjects that were told present are the told set. It changes in the commit that stores the
// events which tell the change, so a kill leaves an event stored and the set changed, or neither.
type Store interface {
	// LoadWebhooks calls the functions of l with everything stored: parts, letters, subjects that
	// were told present, sequences. What they are given may be kept.
	LoadWebhooks(ctx context.Context, l Loader) error
	// CommitWebhooks returns when c is durable, all or nothing. One call at a time. It must
	// not keep the slices of c.
	CommitWebhooks(ctx context.Context, c *Commit) error
	// LoadDeadWebhooks calls fn with the letters of an app whose numbers are greater than after,
	// by number, at most so many. It may be called at any time.
	LoadDeadWebhooks(ctx context.Context, app string, after uint64, limit int, fn func(Letter) error) error
}
