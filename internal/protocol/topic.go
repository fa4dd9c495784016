package protocol

// Topic names one ordered stream of publications: a channel of an app. It is the unit of
// ordering, of fan-out and of a node's interest.
type Topic struct {
	App  string // app id
	Name string // channel name, as clients spell it
}

// Position is a place in the order of one topic. Within an epoch offsets only grow; the
// zero Position is before everything.
//
// Positions of different epochs do not compare: the log they count in was lost or replaced.
type Position struct {
	Epoch  uint64
	Offset uint64
}

// Covers reports whether state read at p already holds what was published at q.
func (p Position) Covers(q Position) bool {
	return p.Epoch == q.Epoch && q.Offset <= p.Offset
}
