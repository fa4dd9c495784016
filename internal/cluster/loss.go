package cluster

import "github.com/millrace/millrace/internal/protocol"

// Loss is what messages have taken away that a link could not keep. Zero: nothing that matters.
//
// A message whose loss takes away less than everything has a method Loss, which returns that. A Loss is immutable.
type Loss struct {
	Topics    []protocol.Topic // of which publications are missing; a link sorts them
	AllTopics bool             // publications of any topic are missing: there are too many topics to name
	Requests  bool             // requests or answers are missing: the node that asked asks again, under the same numbers
	Reports   bool             // something is missing of what the sender has in topics: the sender reports in full
}

// Everything is the loss of a message that does not say what its loss takes away.
func Everything() Loss { return Loss{AllTopics: true, Requests: true, Reports: true} }
