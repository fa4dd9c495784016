package sim

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/millrace/millrace/internal/log"
)

// role is what a voter does in its term.
type role uint8

const (
	absent    role = iota // its process does not take part
	following             //
	standing              // for election
	leading
)

// voter is the part of one node in the log of one partition. Its entries are all since the first, though what is below
// first counts as trimmed. Slices of entries are shared between voters: only a leader appends, to an array of its own.
type voter struct {
	group  *raftGroup
	node   *Node
	index  int
	inputs inputs

	// On disk. Its term and vote are written at once.
	term    log.Term
	vote    int       // in the term; -1: none
	first   log.Index // the first entry that is kept
	durable []Entry

	// Of the process.
	role    role
	entries []Entry // those that are being written included
	writes  []write // under way, in order
	commit  log.Index
	leader  int           // -1: not known
	heard   time.Duration // the reading at which the voter last heard a leader, or has started
	due     time.Duration // the reading at which it stands for election
	isDeaf  bool          // it has left, because its disk stands still
	good    time.Duration // the reading since which the disk has worked, while isDeaf

	// Of a candidate.
	asked   log.Term // for which it has last asked
	voters  uint8    // that have given their vote, as bits
	readies uint8    // that would give it

	// Of a leader.
	barrier   log.Index
	hasTenure bool
	pending   []pending // appends without an outcome, by index
	matched   [maxVoters]log.Index
	contact   [maxVoters]time.Duration // the reading at which the voter last answered
	copying   [maxVoters]time.Duration // the reading until which a copy is under way
	successor *voter
	deadline  time.Duration // the reading at which a hand-over has failed
}

// write is a write to a disk.
type write struct {
	began   time.Duration // by the node's clock
	entries []Entry       // afterwards
}

// pending is an append without an outcome.
type pending struct {
	index       log.Index
	term        log.Term
	number      uint64
	isUncertain bool
}

func newVoter(g *raftGroup, node *Node, index int) *voter {
	l := g.log
	return &voter{
		group: g, node: node, index: index, vote: -1, first: 1, leader: -1,
		inputs: inputs{node: node, partition: g.partition, options: &l.options, deliver: l.deliver},
	}
}

// start has the voter take part in a new life of its process.
func (v *voter) start(applied log.Index) {
	if v.role != absent {
		panic(fmt.Sprintf("sim: %s is started twice in one life", v.node.ID))
	}
	v.role, v.leader = following, -1
	v.entries, v.commit = v.durable, applied
	v.inputs.start(applied)
	if applied+1 < v.first {
		v.commit = v.first - 1
		v.inputs.install(v.group.committed, v.commit, v.commit)
	}
	v.listen()
	v.tick()
}

// crash ends the process. Of what is being written, a part is there: each entry whole or not at all.
func (v *voter) crash() {
	w := v.node.world
	if n := len(v.writes); n > 0 && w.chance(0.5) {
		entries := v.writes[w.Rand.IntN(n)].entries
		kept := matching(v.durable, entries)
		kept += w.Rand.IntN(len(entries) - kept + 1)
		w.Faults.add(AppendTorn)
		v.durable = entries[:kept:kept]
	}
	v.role, v.entries, v.writes = absent, nil, nil
	v.hasTenure, v.pending, v.successor, v.isDeaf = false, nil, nil, false
}

// now is the reading of the voter's clock.
func (v *voter) now() time.Duration { return v.node.Clock() }

// timeout is the heartbeat time-out.
func (v *voter) timeout() time.Duration { return v.group.log.options.Heartbeat }

// listen notes that a leader was heard, and that the voter does not stand for election for a while.
func (v *voter) listen() {
	v.heard = v.now()
	v.due = v.heard + v.timeout() + v.node.world.between(0, v.timeout())
}

// tick does what is to be done from time to time.
func (v *voter) tick() {
	v.watchDisk()
	switch {
	case v.role == leading && !v.hearsMajority():
		v.follow(-1)
	case v.role == leading && v.successor != nil && v.now() >= v.deadline:
		v.node.world.Faults.add(HandOverFailed)
		v.follow(-1)
	case v.role == leading:
		v.replicate()
	case v.now() >= v.due && !v.isDeaf:
		v.ask()
	}
	v.node.After(v.timeout()/10+v.node.world.between(0, v.timeout()/20), v.tick)
}

// watchDisk leaves the log while the disk stands still, and comes back some time after.
func (v *voter) watchDisk() {
	o := &v.group.log.options
	switch now := v.now(); {
	case o.Guard > 0 && len(v.writes) > 0 && now-v.writes[0].began > o.Guard:
		if !v.isDeaf {
			v.node.world.Faults.add(DiskGuard)
		}
		v.isDeaf, v.good = true, now
	case v.isDeaf && now-v.good > o.GuardReturn:
		v.isDeaf = false
		v.listen()
	}
}

// hearsMajority reports whether a majority has answered a leader within half a time-out.
func (v *voter) hearsMajority() bool {
	count := 1
	for i := range v.group.voters {
		if i != v.index && v.now()-v.contact[i] < v.timeout()/2 {
			count++
		}
	}
	return count > len(v.group.voters)/2
}

// follow gives up what the voter was, for a leader that may be unknown.
func (v *voter) follow(leader int) {
	if v.role == leading {
		v.endTenure()
		for _, p := range v.pending {
			v.node.world.Faults.add(TenureLost)
			v.inputs.result(Appended{Term: p.term, Number: p.number, Err: log.ErrUncertain})
		}
		v.pending, v.successor = nil, nil
		v.listen()
	}
	v.role, v.leader = following, leader
}

func (v *voter) endTenure() {
	if v.hasTenure {
		v.hasTenure = false
		v.inputs.post(TenureEnded{v.group.partition, v.term})
	}
}

// enter begins a term.
func (v *voter) enter(term log.Term, vote, leader int) {
	v.follow(leader)
	v.term, v.vote = term, vote
}

// last is the index of the last entry, and the term under which it was stored.
func (v *voter) last() (log.Index, log.Term) {
	if n := len(v.entries); n > 0 {
		return log.Index(n), v.entries[n-1].stored
	}
	return 0, 0
}

// merge makes the entries of a leader the voter's, where they go on or contradict. It reports whether the voter has all of them.
func (v *voter) merge(entries []Entry, first log.Index) bool {
	n := min(len(v.entries), len(entries))
	switch {
	case log.Index(len(v.entries))+1 < first:
		return false
	case n > 0 && v.entries[n-1].stored != entries[n-1].stored, len(entries) > len(v.entries):
		v.entries = slices.Clip(entries)
		v.store()
	}
	return true
}

// store writes the entries to the disk.
func (v *voter) store() {
	l := v.group.log
	v.writes = append(v.writes, write{v.now(), slices.Clip(v.entries)})
	at := l.disks[v.index].write(l.world, l.options.Write)
	v.node.Post(at-l.world.now, func() {
		v.durable = v.writes[0].entries
		v.writes = v.writes[1:]
		if v.role == leading {
			v.matched[v.index] = log.Index(matching(v.durable, v.entries))
			v.advance()
		}
	})
}

// advanceTo makes the entries up to an index committed, as far as this voter knows, and hands them over.
func (v *voter) advanceTo(commit log.Index) {
	if commit <= v.commit {
		return
	}
	v.commit = commit
	v.group.note(v.entries[:commit:commit])
	v.inputs.apply(v.entries, commit)
}

// matching is how many first entries two logs share. Entries of the same index that were stored under the same term are
// the same, and so are all before them.
func matching(a, b []Entry) int {
	n := min(len(a), len(b))
	if n == 0 || a[n-1].stored == b[n-1].stored {
		return n
	}
	return sort.Search(n, func(i int) bool { return a[i].stored != b[i].stored })
}
