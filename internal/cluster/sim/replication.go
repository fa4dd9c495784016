package sim

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// raftKind is what a frame between voters says.
type raftKind uint8

const (
	replicate raftKind = iota
	stored
	isBehind // what the leader keeps does not reach back far enough
	install
	askReady
	askVote
	isReady
	vote
	refuse
	takeOver
)

// raftFrame is what one voter tells another.
type raftFrame struct {
	partition cluster.Partition
	kind      raftKind
	term      log.Term // of the sender

	entries []Entry   // replicate, install: all since the first
	first   log.Index // replicate, install: below it the sender keeps none
	commit  log.Index // replicate; install: of the copy

	last       log.Index // stored: up to which the log is the leader's; requests: the last entry
	lastTerm   log.Term
	asked      log.Term
	isHandOver bool
}

// send sends a frame to another voter.
func (v *voter) send(to int, f raftFrame) { v.sendAfter(0, to, f) }

func (v *voter) sendAfter(delay time.Duration, to int, f raftFrame) {
	if v.isDeaf {
		return
	}
	f.partition, f.term = v.group.partition, v.term
	l := v.group.log
	l.network.SendAfter(delay, v.node.ID, l.voters[to].ID, &f)
}

// receive hands a frame to a voter.
func (l *RaftLog) receive(to, from cluster.NodeID, frame any) {
	f := frame.(*raftFrame)
	if v := l.voter(to, f.partition); v.role != absent && !v.isDeaf {
		v.receive(l.index(from), f)
	}
}

func (v *voter) receive(from int, f *raftFrame) {
	switch f.kind {
	case replicate, install:
		v.obey(from, f)
	case stored, isBehind:
		v.takeStored(from, f)
	case askReady, askVote:
		v.answerRequest(from, f)
	case isReady, vote, refuse:
		v.takeAnswer(from, f)
	case takeOver:
		v.takeOver(f)
	}
}

// append takes an append of the owner. One of another term may be stored: it is refused when it is applied.
func (v *voter) append(e Entry) {
	w := v.node.world
	o := &v.group.log.options
	isLeading := v.role == leading && v.successor == nil
	switch {
	case !isLeading && w.chance(0.8): // it has not reached the log yet
		v.node.Post(w.between(0, o.Lateness), func() { v.append(e) })
		return
	case !isLeading, e.Term != v.term && w.chance(0.5):
		w.Faults.add(AppendFenced)
		v.inputs.result(Appended{Term: e.Term, Number: e.Number, Err: log.ErrFenced})
		return
	case w.now < v.group.log.refuses[v.index], w.chance(o.Refused):
		v.inputs.result(Appended{Term: e.Term, Number: e.Number, Err: refusal(w)})
		return
	}
	p := pending{index: log.Index(len(v.entries)) + 1, term: e.Term, number: e.Number}
	if e.Term == v.term && w.chance(o.Uncertain) {
		w.Faults.add(AppendUncertain)
		p.isUncertain = true
	}
	v.pending = append(v.pending, p)
	v.propose(e)
}

// propose appends an entry to the log of the leader.
func (v *voter) propose(e Entry) {
	e.Index, e.stored = log.Index(len(v.entries))+1, v.term
	v.entries = append(v.entries, e)
	v.store()
	v.replicate()
}

// replicate sends the log to all others. It is a heartbeat as well.
func (v *voter) replicate() {
	for i := range v.group.voters {
		if i != v.index {
			v.send(i, raftFrame{kind: replicate, entries: slices.Clip(v.entries), first: v.first, commit: v.commit})
		}
	}
}

// obey takes the log of a leader.
func (v *voter) obey(from int, f *raftFrame) {
	switch {
	case f.term < v.term:
		v.send(from, raftFrame{kind: stored})
		return
	case f.term > v.term:
		v.enter(f.term, from, from)
	case v.role == standing:
		v.follow(from)
	}
	v.leader = from
	v.vote = from
	v.listen()
	if f.kind == install {
		v.install(from, f)
		return
	}
	if !v.merge(f.entries, f.first) {
		v.send(from, raftFrame{kind: isBehind})
		return
	}
	last, commit, term := log.Index(len(f.entries)), f.commit, v.term
	v.answerStored(func() {
		if v.term == term {
			v.send(from, raftFrame{kind: stored, last: last})
		}
	})
	v.advanceTo(min(commit, last))
}

// answerStored calls answer once the entries are on disk.
func (v *voter) answerStored(answer func()) {
	if len(v.writes) == 0 {
		answer()
		return
	}
	l := v.group.log
	v.node.Post(l.disks[v.index].last-l.world.now, answer)
}

// takeStored takes the answer of a voter to what the leader has sent.
func (v *voter) takeStored(from int, f *raftFrame) {
	if f.term > v.term {
		v.enter(f.term, -1, -1)
	}
	if v.role != leading || f.term != v.term {
		return
	}
	v.contact[from] = v.now()
	if f.kind == isBehind {
		v.copyTo(from)
		return
	}
	v.matched[from] = max(v.matched[from], f.last)
	v.advance()
	if s := v.successor; s != nil && s.index == from && v.matched[from] == log.Index(len(v.entries)) {
		v.send(from, raftFrame{kind: takeOver})
	}
}

// advance commits what a majority has stored, if the last of it is of this term.
func (v *voter) advance() {
	if v.role != leading {
		return
	}
	var sorted [maxVoters]log.Index
	matched := sorted[:copy(sorted[:], v.matched[:len(v.group.voters)])]
	slices.Sort(matched)
	commit := matched[(len(matched)-1)/2]
	if commit <= v.commit || v.entries[commit-1].stored != v.term {
		return
	}
	v.advanceTo(commit)
	if !v.hasTenure && v.commit >= v.barrier && v.successor == nil {
		v.hasTenure = true
		v.inputs.post(TenureBegan{v.group.partition, v.term})
	}
	v.answerPending()
}

// answerPending tells the outcome of appends that are committed.
func (v *voter) answerPending() {
	for len(v.pending) > 0 && v.pending[0].index <= v.commit {
		p := v.pending[0]
		v.pending = v.pending[1:]
		a := Appended{Term: p.term, Number: p.number, Index: p.index}
		switch {
		case p.isUncertain:
			a.Index, a.Err = 0, log.ErrUncertain
		case p.term != v.entries[p.index-1].stored:
			v.node.world.Faults.add(AppendSkipped)
			a.Index, a.Err = 0, log.ErrFenced
		}
		v.inputs.result(a)
	}
}

// copyTo sends a copy of the fold to a voter that is too far behind. It is of a later index than what the log goes on from.
func (v *voter) copyTo(to int) {
	if v.now() < v.copying[to] || v.commit+1 < v.first {
		return
	}
	w := v.node.world
	v.copying[to] = v.now() + v.timeout()
	label := v.first - 1 + log.Index(w.Rand.Int64N(int64(v.commit-v.first)+2)) //nolint:gosec // a small number
	v.sendAfter(w.between(0, v.timeout()/2), to, raftFrame{
		kind: install, entries: slices.Clip(v.entries), first: label + 1, commit: v.commit,
	})
}

// install replaces the log and the fold by a copy, at once and durably.
func (v *voter) install(from int, f *raftFrame) {
	label := f.first - 1
	if log.Index(len(v.entries)) >= label {
		return
	}
	v.entries = f.entries[:label:label]
	v.durable, v.first = v.entries, f.first
	for i := range v.writes {
		v.writes[i].entries = v.entries
	}
	if label > v.commit {
		v.commit = label
		v.group.note(f.entries[:f.commit:f.commit])
		v.inputs.install(f.entries, f.commit, label)
	}
	v.send(from, raftFrame{kind: stored, last: label})
}
