package webhook

import (
	"errors"
	"slices"
	"time"
)

// Reason says why a batch became a dead letter. The values are stored, and metric labels.
type Reason string

// Reasons of a Letter.
const (
	ReasonMaxElapsed  Reason = "max_elapsed"  // tried for as long as Retry.MaxElapsed
	ReasonMaxAttempts Reason = "max_attempts" // tried Retry.MaxAttempts times
	ReasonNoRetry     Reason = "no_retry"     // failed, and the endpoint has no retries
	ReasonExpired     Reason = "expired"      // waited for longer than Retry.MaxElapsed while the endpoint was down
	ReasonOverflow    Reason = "overflow"     // the oldest of more than may wait
	ReasonRemoved     Reason = "removed"      // the endpoint was removed
)

// Letter is a batch that was given up.
type Letter struct {
	Number        uint64 // that the batch had
	App, Endpoint string
	Delivery      string
	Time          int64 // Unix milliseconds of the oldest event
	Count         int   // events
	Events        []byte
	Size          int // of Events
	Reason        Reason
	Detail        string // the last failure of the endpoint; may be empty
	Attempts      int
	Died          time.Time
}

// What a caller that asks about dead letters can be answered.
var (
	// ErrClosed: the engine does not run any more.
	ErrClosed = errors.New("webhook: closed")
	// ErrNoEndpoint: an endpoint whose dead letters were to be replayed does not exist.
	ErrNoEndpoint = errors.New("webhook: no such endpoint")
	// ErrBacklog: so much waits for the endpoint that dead letters have no room there.
	ErrBacklog = errors.New("webhook: too much waits for the endpoint; replay the rest later")
	// ErrNothingSelected: a Selection says neither which letters nor that it means all.
	ErrNothingSelected = errors.New("webhook: no letters selected; name some, or an endpoint, or all")
)

// Selection says which dead letters of an app are meant. What is set must hold for a letter;
// nothing set is an error.
type Selection struct {
	Numbers  []uint64
	Endpoint string
	All      bool // needed only if nothing else is set
}

// IsNothing reports whether the selection says nothing at all.
func (s *Selection) IsNothing() bool { return !s.All && s.Endpoint == "" && len(s.Numbers) == 0 }

// Has reports whether a letter is meant.
func (s *Selection) Has(l *Letter) bool {
	return (len(s.Numbers) == 0 || slices.Contains(s.Numbers, l.Number)) && (s.Endpoint == "" || s.Endpoint == l.Endpoint)
}
