package known

import (
	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Feeds are up to where batches of mutations were made from the publications of topics. All of it is stored.
type Feeds map[protocol.Topic]Fed

// Fed is the place of the last publication of a topic from which a batch was made.
type Fed struct {
	Place cluster.Position
	Term  log.Term // zero: the topic is logged
	Seq   string   // of the batch
}

// Apply takes the changes of a batch that are stored.
func (s Feeds) Apply(c *log.Changes) {
	if f := c.Feed; f != nil {
		s[f.Topic] = Fed{Place: cluster.Position(f.Place), Term: f.Term, Seq: c.Seq}
	}
}

// Is reports whether the last batch was made from a publication.
func (f *Fed) Is(of *cluster.Feed) bool { return f.Place == of.Place && f.Term == of.Term }

// Takes reports whether a batch may follow.
func (f *Fed) Takes(next *cluster.Feed) bool {
	switch {
	case next.Term == 0:
		return next.After == f.Place
	case next.Term != f.Term:
		return next.Term > f.Term
	default:
		return next.Place.Serial > f.Place.Serial
	}
}
