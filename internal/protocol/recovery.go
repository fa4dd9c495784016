package protocol

import "time"

// StreamPosition is a place in a topic that is kept, as clients of protocol V2 know it: behind the publication
// with the serial. Serial 0 is before the first one. A topic that has never kept anything has no stream id.
type StreamPosition struct {
	StreamID string
	Serial   uint64
}

// Resume says from where on a client wants what it has missed of a channel (v2 3.1).
type Resume struct {
	Channel        string
	StreamPosition        // a client that does not know the stream gives none
	LastMessageID  string // of a message that it has; empty without
	IsSerialAlone  bool   // the client has used the older form, which has serials alone
}

// Rewind says how much of the past a client wants of a channel that it subscribes to (v2 3.6). One of the
// fields is above zero.
type Rewind struct {
	Count int
	Age   time.Duration
}

// ReplaySource says how far back a replay went (v2 3.3).
type ReplaySource string

// The sources of replays.
const (
	SourceHot  ReplaySource = "hot"  // all of it is within the bounds of recovery
	SourceCold ReplaySource = "cold" // some of it is in the history alone
)

// Recovered is a channel of which a client has been sent all that it had missed.
type Recovered struct {
	Channel        string
	Source         ReplaySource
	Replayed       int
	StreamPosition        // up to which the client has the channel
	LastMessageID  string // of the last message that was replayed; empty without
}

// Codes of a ResumeFailure.
const (
	FailureStreamReset  = "stream_reset"
	FailureExpired      = "position_expired"
	FailureUnverifiable = "continuity_unverifiable"
	FailureNotReadable  = "persistence_unavailable"
)

// ResumeFailure says why a client has not been sent what it had missed of a channel (v2 3.4).
type ResumeFailure struct {
	Channel, Code, Reason string
	Expected, Current     string // streams; empty: not known
	Oldest, Newest        uint64 // serials that are kept; zero: not known
}

// Resumed is what has become of the channels that a client wanted to resume.
type Resumed struct {
	Recovered []Recovered
	Failed    []ResumeFailure
}

// Rewound is what a client has been sent of the past of a channel.
type Rewound struct {
	Historical, Live  int // publications of before the subscription, and of since then
	IsBeyondRetention bool
	IsBeyondLimit     bool
}
