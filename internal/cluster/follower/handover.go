package follower

import (
	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// pause is the time between an owner that hands over and the next one: nothing is sent to either.
type pause struct {
	term   log.Term // whose owner has stopped; zero: there is no pause
	leaves []cluster.Message
}

// stopped ends what the node sends to an owner: it has all that the owner has delivered.
func (f *Follower) stopped(from cluster.NodeID, m *cluster.Stopped) {
	if !f.believes(from, m.Partition, m.Term) {
		return
	}
	f.pauses[m.Partition] = pause{term: m.Term}
	f.formers[m.Partition] = append(f.formers[m.Partition], from)
	f.owners[m.Partition].Node = ""
	f.send(from, &cluster.Paused{Partition: m.Partition, Term: m.Term})
}

// goOn sends a successor what has waited. It has what was sent to the owner before, and what that has not answered. A Join
// comes behind each Leave, so it says how many subscriptions there are now.
func (f *Follower) goOn(w cluster.Ownership, leaves []cluster.Message) {
	for _, l := range leaves {
		f.send(w.Node, l)
	}
	for _, t := range f.sorted(w.Partition) {
		if t.members != nil && t.members.isStale && t.replay == 0 {
			f.askMembers(t)
		}
	}
	for _, id := range f.order {
		r := f.requests[id]
		if r == nil || r.partition != w.Partition || r.asks > 0 {
			continue
		}
		switch j := r.message.(type) {
		case *cluster.Join:
			now := *j
			now.Part = f.topics[*j.Topic].part
			r.message = &now
		case *cluster.JoinPattern:
			now := *j
			now.Part, _ = f.patterns[j.Pattern.App].Get(j.Pattern.Text)
			r.message = &now
		}
		f.ask(r)
	}
}

// askReport reports to an owner that has not heard all that the node has.
func (f *Follower) askReport(from cluster.NodeID, m *cluster.AskReport) {
	if f.believes(from, m.Partition, m.Term) {
		f.report(f.owners[m.Partition])
	}
}
