package cluster

import (
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Feed is the publication of a channel from which a batch of the same app is made.
//
// Batches of a topic that is logged form a chain: each names the one before, so that none is left out and none comes twice.
// Batches of another topic follow each other by term and serial: none comes twice, and one that comes too late never does.
type Feed struct {
	Topic protocol.Topic
	Place Position
	Term  log.Term // in which it was published; zero: its topic is logged
	After Position // logged: the place of the batch before; zero: there is none
}

type (
	// Mutate asks the owner of the partition of an app for changes of entities of the app: all or none. A batch that was made
	// from a publication has a Feed, any other an id. Both make a second try safe.
	Mutate struct {
		Request   RequestID
		Partition Partition
		App       string
		ID        string
		KnownFor  time.Duration // how long the id is known; zero: 30 s
		Feed      *Feed
		Batch     []byte // as its decider reads it
	}
	// Mutated answers Mutate.
	Mutated struct {
		Request RequestID
		Result  Result   // Done, Unavailable, Invalid, Busy or Misplaced
		Seq     string   // Done: the position of the changes, the same in each answer to one batch
		Problem string   // Invalid: what is wrong with the batch
		Fed     Position // of a batch with a Feed: up to where batches were made from its topic
	}
)

// Decided is what a decider makes of one batch.
type Decided struct {
	Seq     string // its position
	Changes []byte // empty: it changes nothing
	Problem string // it can never be applied; empty: it can
}

type (
	// Decide has the owner told what batches make of entities, one after the other, by a decider that has everything that was
	// installed before. The decider answers for the first of them at least. What it has decided and is not installed when it
	// is asked again never will be. The positions of a term are above all positions of earlier terms.
	Decide struct {
		Partition Partition
		Term      log.Term
		Batches   []*Mutate
		MaxBytes  int // of changes, which the decider exceeds by one batch at most
	}
	// InstallChanges makes changes a part of the entities of an app on this node. A node that has the log is given the changes of
	// each partition in one order, each once.
	InstallChanges struct {
		Partition Partition
		App       string
		Number    uint64 // of the changes in the partition, which grows
		Seq       string
		Changes   []byte
	}
)

func (Decide) isEffect()         {}
func (InstallChanges) isEffect() {}

// Size implements Message.
func (m *Mutate) Size() int {
	n := sizeFixed + len(m.App) + len(m.ID) + len(m.Batch)
	if m.Feed != nil {
		n += sizeOfTopic(&m.Feed.Topic) + 2*sizePosition
	}
	return n
}

// Size implements Message.
func (m *Mutated) Size() int { return sizeFixed + sizePosition + len(m.Seq) + len(m.Problem) }

// Loss is what the other node misses without the message.
func (*Mutate) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (*Mutated) Loss() Loss { return Loss{Requests: true} }
