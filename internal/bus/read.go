package bus

import "github.com/millrace/millrace/internal/protocol"

// Query says which of the publications that are kept of a topic, oldest first. Zero fields do not restrict.
type Query struct {
	After, Before uint64 // serials between these, both exclusive
	Since         int64  // decided then or later, in Unix milliseconds
	Limit         int    // publications; zero: as the log has it
}

// Page is the answer to a Query. A topic that keeps nothing has no stream.
type Page struct {
	StreamID     string
	Oldest       uint64 // the first serial that is kept; Next if none is
	Next         uint64 // the serial of the next publication
	Publications []Kept // without a gap between them; perhaps fewer than were asked for
}

// Kept is a publication that is kept.
type Kept struct {
	*protocol.Publication
	Time int64 // at which it was decided, Unix milliseconds
}
