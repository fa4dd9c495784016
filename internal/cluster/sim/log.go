package sim

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// Log is a model of one log for each partition, shared by some nodes. It does everything that the contract of [log.Log]
// permits, and nothing that it forbids. What comes of a call, and what happens by itself, is handed to the node
// as one of the inputs below.
type Log interface {
	// Start has the node take part in the log of a partition, in this life of its process. The node has applied all up to an
	// index.
	Start(node cluster.NodeID, p cluster.Partition, applied log.Index)
	// Append appends a group that was decided in a term. Number is of the append in the term; [Appended] carries it.
	Append(node cluster.NodeID, p cluster.Partition, term log.Term, number uint64, group []log.Record)
	// Trim removes the entries below an index from what the node keeps. The node's fold has them durably.
	Trim(node cluster.NodeID, p cluster.Partition, before log.Index) error
	// HandOver ends the tenure of the node, which has already ended its lease, and gives the partition to another node, if
	// that succeeds. ErrNoNode: the other does not share the log, and the tenure goes on.
	HandOver(node cluster.NodeID, p cluster.Partition, to cluster.NodeID) error
	// GiveUp ends the tenure of the node, which does not know what is stored.
	GiveUp(node cluster.NodeID, p cluster.Partition, term log.Term)
	// Length is how many entries were ever committed.
	Length(p cluster.Partition) int
	// Owner is the owner as far as the node knows.
	Owner(node cluster.NodeID, p cluster.Partition) (owner cluster.NodeID, term log.Term, isKnown bool)
	// History is all that was ever committed, as nodes that follow the log see it. It is for the comparison of outcomes.
	History(p cluster.Partition) []Entry
	// Stall makes the disk of a node stand still for a real time.
	Stall(node cluster.NodeID, d time.Duration)
	// Refuse makes a node refuse appends for a real time.
	Refuse(node cluster.NodeID, d time.Duration)
}

// Entry is an entry of a log.
type Entry struct {
	Index  log.Index
	Term   log.Term     // of the tenure in which it was decided
	Number uint64       // of the append in that term; zero: the log's own
	Group  []log.Record // empty: it renewed a lease, or was refused when it was applied

	stored log.Term // under which it was stored; another than Term: it is refused when it is applied
}

// seen is the entry as nodes see it when they apply it.
func (e *Entry) seen() Entry {
	entry := *e
	if entry.Term != entry.stored {
		entry.Group = nil
	}
	return entry
}

// Inputs of a node.
type (
	// TenureBegan says that the node owns the partition and has been handed everything before.
	TenureBegan struct {
		Partition cluster.Partition
		Term      log.Term
	}
	// TenureEnded says that the tenure is over. Appends of it that are outstanding have an outcome of their own.
	TenureEnded struct {
		Partition cluster.Partition
		Term      log.Term
	}
	// Appended says what has become of an append. Err is nil, [log.ErrFenced], [log.ErrNotStored], [log.ErrFull] or
	// [log.ErrUncertain].
	Appended struct {
		Partition cluster.Partition
		Term      log.Term
		Number    uint64
		Index     log.Index // Err is nil
		Err       error
	}
	// Committed is the next entry, on every node. After a copy it may be one that the copy has.
	Committed struct {
		Partition cluster.Partition
		Entry     Entry
	}
	// Copied replaces the fold of the node by one that has all entries up to an index.
	Copied struct {
		Partition cluster.Partition
		Index     log.Index
		Entries   []Entry // all since the first; not to be changed
	}
)

// LogOptions says how a log behaves. Partitions and Heartbeat are required. By default nothing goes wrong: what is zero does
// not happen, and takes no time. [DefaultLogOptions] are others.
type LogOptions struct {
	Partitions int
	Heartbeat  time.Duration // the heartbeat time-out, by the clocks of the nodes
	Traffic    Traffic       // between the nodes of the log
	Write      time.Duration // a write to a disk takes at most so long; most are faster

	Refused   float64 // the chance that an append is not stored, for a reason of its own
	Uncertain float64 // the chance that the outcome of an append is not known, while the tenure goes on
	Late      float64 // the chance that an append reaches the log late by up to Lateness, and that its result is
	Lateness  time.Duration

	Guard       time.Duration // a disk that stands still so long makes its node leave
	GuardReturn time.Duration // after so long without, the node is back

	// Unsound has voters obey a hand-over of any term, however late. For a test of the tests.
	Unsound bool
}

// DefaultLogOptions is a log that fails often.
func DefaultLogOptions() LogOptions {
	return LogOptions{
		Partitions: 1, Heartbeat: 500 * time.Millisecond, Traffic: DefaultTraffic(), Write: 4 * time.Millisecond,
		Refused: 0.003, Uncertain: 0.001, Late: 0.003, Lateness: 3 * time.Second,
		Guard: 1500 * time.Millisecond, GuardReturn: 3 * time.Second,
	}
}

// refusal draws the reason for which an append is not stored.
func refusal(w *World) error {
	w.Faults.add(AppendRefused)
	if w.chance(0.5) {
		return log.ErrFull
	}
	return log.ErrNotStored
}

// inputs hands a node what comes of one partition, in order or out of it.
type inputs struct {
	node      *Node
	partition cluster.Partition
	options   *LogOptions
	deliver   func(cluster.NodeID, any)

	arrival time.Duration // the real time at which the last append reaches the log
	last    time.Duration // the real time of the last input that was planned in order
	applied log.Index     // up to which entries were handed over, or are about to be
	copied  log.Index     // of the last copy
}

// start begins another life of the process.
func (in *inputs) start(applied log.Index) {
	in.arrival, in.last = 0, 0
	in.applied, in.copied = applied, 0
}

// known is the index up to which the node has been handed entries.
func (in *inputs) known() log.Index { return max(in.applied, in.copied) }

// arrive calls do when an append reaches the log, after all appends before it.
func (in *inputs) arrive(do func()) {
	w := in.node.world
	delay := w.between(0, 200*time.Microsecond)
	if w.chance(in.options.Late) {
		w.Faults.add(AppendLate)
		delay = w.between(delay, in.options.Lateness)
	}
	in.arrival = max(in.arrival, w.now+delay)
	in.node.Post(in.arrival-w.now, do)
}

// post hands over an input soon, after all inputs before it.
func (in *inputs) post(input any) {
	w := in.node.world
	delay := w.between(0, time.Millisecond)
	in.last = max(in.last, w.now+delay)
	in.node.Post(in.last-w.now, func() { in.deliver(in.node.ID, input) })
}

// result hands over the outcome of an append, at once or late, whatever else was handed over.
func (in *inputs) result(a Appended) {
	w := in.node.world
	a.Partition = in.partition
	delay := w.between(0, time.Millisecond)
	if w.chance(in.options.Late) {
		w.Faults.add(ResultLate)
		delay = w.between(delay, in.options.Lateness)
	}
	in.node.Post(delay, func() { in.deliver(in.node.ID, a) })
}

// apply hands over the entries up to an index.
func (in *inputs) apply(entries []Entry, to log.Index) {
	for in.applied < to {
		in.post(Committed{in.partition, entries[in.applied].seen()})
		in.applied++
	}
}

// install hands over a copy that has the entries up to an index. What follows a lower index comes by itself.
func (in *inputs) install(entries []Entry, index, next log.Index) {
	in.applied = next
	if index > in.copied {
		in.copied = index
		in.node.world.Faults.add(Copy)
		in.post(Copied{in.partition, index, seen(entries[:index])})
	}
}

// seen is what nodes see of entries.
func seen(entries []Entry) []Entry {
	history := make([]Entry, len(entries))
	for i := range entries {
		history[i] = entries[i].seen()
	}
	return history
}
