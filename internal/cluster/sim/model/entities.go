package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// WriteKind says what a batch does to an entity.
type WriteKind uint8

// What batches do.
const (
	Append  WriteKind = iota // a mark behind the marks that the entity has
	Replace                  // the marks of the entity by one
	Remove                   // the entity
)

// Write is what a batch does to one entity. Its mark is of this write alone, by which the simulator finds it wherever it appears.
type Write struct {
	Kind   WriteKind
	Entity string // app, type and key
	Mark   string // of Append and Replace
}

// Batch is what a publisher asks for at once, or what is made from one publication.
type Batch struct {
	ID     string
	Writes []Write // in the order of the batch
	IsBad  bool    // it can never be applied
	// A batch that is made from a publication has these. Batches of a topic are in the order of its publications.
	Feed     string // the topic
	Term     uint64 // in which it was published; zero: the topic is logged
	StreamID string
	Serial   uint64
}

// keptMarks is how many marks an entity has at most, the newest.
const keptMarks = 100

// Entities checks that batches of mutations are applied as promised: on every node in one order, each once and whole, under
// positions that only grow, and each that was acknowledged.
type Entities struct {
	report

	batches  map[string]*batch
	order    []*batch // as they were made known
	stored   map[cluster.Partition]*sequence
	contents map[string][]string // marks of entities, as of all that is stored
	nodes    map[seat]int        // how many batches with changes a node has installed in its present life
	fed      map[string]*Batch   // the last one of each topic that is stored
}

// sequence is the batches of one partition that are stored.
type sequence struct {
	number  uint64
	seq     string   // of the last one
	changes []*batch // those that change something
}

// seat is a partition on a node.
type seat struct {
	node      cluster.NodeID
	partition cluster.Partition
}

// batch is what has happened to one batch.
type batch struct {
	*Batch
	partition cluster.Partition
	seq       string
	changes   []string // as they are told
	isStored  bool
	isOwed    bool // it was made from what a logged topic has
	isDone    bool // a try was answered so
	tries     int
	open      int // tries without an answer
	maybe     int // tries whose answer left it open
}

// NewEntities makes a cluster without entities.
func NewEntities() *Entities {
	return &Entities{
		report: report{name: "entities"}, batches: map[string]*batch{}, stored: map[cluster.Partition]*sequence{},
		contents: map[string][]string{}, nodes: map[seat]int{}, fed: map[string]*Batch{},
	}
}

// ObserveBatch makes a batch known that may be asked for.
func (e *Entities) ObserveBatch(p cluster.Partition, b *Batch) {
	if e.batches[b.ID] != nil {
		return
	}
	x := &batch{Batch: b, partition: p}
	e.batches[b.ID] = x
	e.order = append(e.order, x)
}

// ObserveOwed notes that a logged topic has the publication of a batch: the batch must be applied.
func (e *Entities) ObserveOwed(id string) { e.batches[id].isOwed = true }

// ObserveTry notes that a node is asked for a batch.
func (e *Entities) ObserveTry(id string) {
	b := e.batches[id]
	b.tries++
	b.open++
}

// ObserveStored notes that the log has a batch, with a number and a position.
func (e *Entities) ObserveStored(now time.Duration, p cluster.Partition, number uint64, id, seq string) {
	b, s := e.batches[id], e.sequence(p)
	switch {
	case b == nil || b.partition != p || b.tries == 0:
		e.violated(now, "%s is stored in partition %d, and was not asked for there", id, p)
		return
	case b.isStored:
		e.violated(now, "%s is applied twice, at %s and at %s", id, b.seq, seq)
		return
	case b.isRefused():
		e.violated(now, "%s is applied, and every try was refused", id)
	}
	if s.number++; number != s.number {
		e.violated(now, "%s has the number %d, want %d", id, number, s.number)
	}
	e.follows(now, b.Batch)
	b.isStored, b.seq = true, seq
	e.apply(b)
	order := comparePositions(seq, s.seq)
	switch {
	case b.IsBad: // it is stored for its place alone
	case len(b.changes) > 0 && order <= 0:
		e.violated(now, "%s is at %s, behind %s", id, seq, s.seq)
	case len(b.changes) == 0 && order < 0:
		e.violated(now, "%s changes nothing and is told %s, behind %s", id, seq, s.seq)
	}
	if len(b.changes) > 0 {
		s.seq = seq
		s.changes = append(s.changes, b)
	}
}

func (e *Entities) sequence(p cluster.Partition) *sequence {
	if e.stored[p] == nil {
		e.stored[p] = &sequence{}
	}
	return e.stored[p]
}

// follows sees that a batch of a topic comes behind the one that is stored.
func (e *Entities) follows(now time.Duration, b *Batch) {
	if b.Feed == "" {
		return
	}
	last := e.fed[b.Feed]
	e.fed[b.Feed] = b
	if last == nil {
		return
	}
	isBehind := b.Term > last.Term || b.Term == last.Term && b.Serial > last.Serial
	if b.Term == 0 {
		isBehind = b.StreamID != last.StreamID || b.Serial == last.Serial+1
	}
	if !isBehind {
		e.violated(now, "%s is applied behind %s", b.ID, last.ID)
	}
}

// apply works out what a batch does.
func (e *Entities) apply(b *batch) {
	if b.IsBad {
		return
	}
	for _, w := range b.Writes {
		marks, exists := e.contents[w.Entity]
		switch w.Kind {
		case Append:
			marks = append(slices.Clone(marks), w.Mark)
			e.contents[w.Entity] = marks[max(0, len(marks)-keptMarks):]
		case Replace:
			e.contents[w.Entity] = []string{w.Mark}
		case Remove:
			if !exists {
				continue
			}
			delete(e.contents, w.Entity)
		}
		b.changes = append(b.changes, w.told())
	}
	slices.Sort(b.changes)
}

// told is a write as a node is told that installs it.
func (w *Write) told() string { return fmt.Sprint(w.Kind, " ", w.Entity, " ", w.Mark) }

// ObserveInstalled notes that a node has installed the changes of one batch.
func (e *Entities) ObserveInstalled(now time.Duration, node cluster.NodeID, p cluster.Partition, seq string, writes []Write) {
	var changes []string
	for i := range writes {
		changes = append(changes, writes[i].told())
	}
	slices.Sort(changes)
	all, want := e.sequence(p).changes, e.nodes[seat{node, p}]
	e.nodes[seat{node, p}]++
	switch {
	case want >= len(all):
		e.violated(now, "%s installs %v at %s, which is not stored", node, changes, seq)
	case all[want].seq != seq || !slices.Equal(all[want].changes, changes):
		e.violated(now, "%s installs %v at %s as number %d, want %v of %s at %s",
			node, changes, seq, want, all[want].changes, all[want].ID, all[want].seq)
	}
}

// kill notes that a node has died: it begins again with what it has stored.
func (e *Entities) kill(node cluster.NodeID) {
	maps.DeleteFunc(e.nodes, func(s seat, _ int) bool { return s.node == node })
}

// ObserveAnswer notes the answer to a try, and the position that it names if the batch is done.
func (e *Entities) ObserveAnswer(now time.Duration, id string, result cluster.Result, seq string) {
	b := e.batches[id]
	if b == nil || b.open == 0 {
		e.violated(now, "%s is answered, and was not asked for", id)
		return
	}
	b.open--
	switch result {
	case cluster.Done:
		b.isDone = true
		e.acknowledge(now, b, seq)
	case cluster.Uncertain, cluster.Misplaced:
		b.maybe++
	case cluster.Invalid:
		if !b.IsBad {
			e.violated(now, "%s is refused as one that can never be applied", id)
		}
		if b.Feed != "" {
			b.maybe++ // its place is stored
		}
	default: // it has not happened
	}
	if b.isStored && b.isRefused() {
		e.violated(now, "%s is applied, and every try was refused", id)
	}
}

func (e *Entities) acknowledge(now time.Duration, b *batch, seq string) {
	switch {
	case !b.isStored:
		e.violated(now, "%s is acknowledged, and is not stored", b.ID)
	case b.seq != seq:
		e.violated(now, "%s is acknowledged at %s, and is stored at %s", b.ID, seq, b.seq)
	case b.IsBad && b.Feed == "":
		e.violated(now, "%s is acknowledged, and can never be applied", b.ID)
	}
}

// isRefused reports whether each try was answered with the promise that nothing has happened.
func (b *batch) isRefused() bool { return b.open == 0 && b.maybe == 0 && !b.isDone }

// CheckQuiet checks what nodes have when all faults have been over for some seconds: the marks of each entity.
func (e *Entities) CheckQuiet(now time.Duration, nodes map[cluster.NodeID]map[string][]string) {
	for _, b := range e.order {
		if b.isOwed && !b.isStored {
			e.violated(now, "%s is in the log of its topic, and was never applied", b.ID)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		for _, p := range slices.Sorted(maps.Keys(e.stored)) {
			if got, want := e.nodes[seat{node, p}], len(e.stored[p].changes); got < want {
				e.violated(now, "%s has installed %d batches of partition %d, want %d", node, got, p, want)
			}
		}
		e.compare(now, node, nodes[node])
	}
}

// compare compares what a node has with what all batches make of entities.
func (e *Entities) compare(now time.Duration, node cluster.NodeID, got map[string][]string) {
	names := slices.Concat(slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(e.contents)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !slices.Equal(got[name], e.contents[name]) {
			e.violated(now, "%s has %v of %s, want %v", node, got[name], name, e.contents[name])
		}
	}
}

// comparePositions compares two positions: a number without leading zeros, a colon, and 12 digits. An empty one is before all.
func comparePositions(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
