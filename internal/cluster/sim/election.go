package sim

import (
	"math/bits"
	"slices"

	"github.com/millrace/millrace/internal/log"
)

// ask asks all voters whether they would give their vote in the next term. It changes nothing.
func (v *voter) ask() {
	v.role, v.leader = standing, -1
	v.asked, v.readies, v.voters = v.term+1, 1<<v.index, 0
	v.due = v.now() + v.timeout()/2 + v.node.world.between(0, v.timeout())
	v.request(raftFrame{kind: askReady})
	v.count()
}

// stand asks all voters for their vote in the next term.
func (v *voter) stand(isHandOver bool) {
	v.enter(v.term+1, v.index, -1)
	v.role = standing
	v.asked, v.readies, v.voters = v.term, 0, 1<<v.index
	v.due = v.now() + v.timeout()/2 + v.node.world.between(0, v.timeout())
	v.request(raftFrame{kind: askVote, isHandOver: isHandOver})
	v.count()
}

// request sends a request for votes to all others.
func (v *voter) request(f raftFrame) {
	f.asked = v.asked
	f.last, f.lastTerm = v.last()
	for i := range v.group.voters {
		if i != v.index {
			v.send(i, f)
		}
	}
}

// answerRequest answers a request for votes.
func (v *voter) answerRequest(from int, f *raftFrame) {
	isWilling := f.asked > v.term || f.asked == v.term && (v.vote == -1 || v.vote == from) && f.kind == askVote
	index, term := v.last()
	isUpToDate := f.lastTerm > term || f.lastTerm == term && f.last >= index
	answer := raftFrame{asked: f.asked, kind: isReady}
	if !isWilling || !isUpToDate || !v.isFree() && !v.isReleased(f) {
		answer.kind = refuse
	} else if f.kind == askVote {
		if f.asked > v.term {
			v.enter(f.asked, from, -1)
		}
		v.vote = from
		v.due = v.now() + v.timeout() + v.node.world.between(0, v.timeout())
		answer.kind = vote
	}
	v.send(from, answer)
}

// isFree reports whether the voter has promised nothing to a leader: it leads not, and has heard none for a heartbeat time-out.
func (v *voter) isFree() bool {
	return v.role != leading && v.now()-v.heard >= v.timeout()
}

// isReleased reports whether a request is of a hand-over, by the leader of the term just before: it has ended its lease.
func (v *voter) isReleased(f *raftFrame) bool {
	return f.isHandOver && (v.term+1 == f.asked || v.term == f.asked || v.group.log.options.Unsound)
}

// takeAnswer takes the answer to a request for votes.
func (v *voter) takeAnswer(from int, f *raftFrame) {
	if v.role != standing || f.asked != v.asked {
		return
	}
	switch f.kind {
	case isReady:
		v.readies |= 1 << from
	case vote:
		v.voters |= 1 << from
	case refuse:
		if f.term > v.term { // it has missed a term
			v.enter(f.term, -1, -1)
			return
		}
	default:
	}
	v.count()
}

// count stands for election, or begins to lead, once a majority wants it.
func (v *voter) count() {
	majority := len(v.group.voters)/2 + 1
	switch {
	case v.asked > v.term && bits.OnesCount8(v.readies) >= majority:
		v.stand(false)
	case v.asked == v.term && bits.OnesCount8(v.voters) >= majority:
		v.lead()
	}
}

// lead begins to lead the term, with an entry of its own.
func (v *voter) lead() {
	v.node.world.Faults.add(Election)
	v.role, v.leader = leading, v.index
	v.matched = [maxVoters]log.Index{}
	for i := range v.contact {
		v.contact[i] = v.now()
		v.copying[i] = 0
	}
	v.entries = slices.Clip(v.entries)
	v.barrier = log.Index(len(v.entries)) + 1
	v.propose(Entry{Term: v.term})
}

// handOver gives the lead to another voter, once that has all entries. The tenure is over at once, whether this succeeds or not:
// what tells the other one to take over may arrive late.
func (v *voter) handOver(to *voter) {
	if v.role != leading || v.successor != nil {
		return
	}
	v.node.world.Faults.add(HandOver)
	v.endTenure()
	v.successor, v.deadline = to, v.now()+v.timeout()
	v.replicate()
}

// takeOver stands for election at once, in the term after the one that was handed over.
func (v *voter) takeOver(f *raftFrame) {
	if v.role != leading && (v.term == f.term || v.group.log.options.Unsound) {
		v.stand(true)
	}
}
