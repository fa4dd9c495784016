package owner

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// takeover is the beginning of a term, in which nodes report what they have. Joins and leaves of topics with edges wait until
// all have, or [Options.ReportTime] is over. Then the owner goes on, and decides no removal for a node that is missing until it reports or dies.
type takeover struct {
	isOver    bool
	ends      time.Duration
	reports   interest.Reports
	waiting   []request
	isSettled bool // what was told agrees with what is
}

// beginTakeover fixes which nodes must report.
func (o *Owner) beginTakeover(now time.Duration) {
	o.takeover = takeover{ends: now + o.o.ReportTime}
	for id, n := range o.nodes {
		n.report, n.answers = interest.Report{}, known.Answers{}
		o.interest.Await(id)
		o.takeover.reports.Expect(id)
	}
	for id := range o.unheard {
		o.takeover.reports.Expect(id)
	}
	if o.o.Faults.Has(cluster.FaultToldForgotten) {
		o.told = known.NewTold()
	}
}

// report enters what a node has, and tells it where topics stand.
func (o *Owner) report(now time.Duration, from cluster.Peer, m *cluster.Report) {
	if m.Term != o.term {
		if m.IsLast && m.Term == o.after {
			o.send(from.Node, &cluster.AskReport{Partition: o.o.Partition, Term: o.term})
		}
		return
	}
	n := o.nodes[from.Node]
	if len(n.report.Topics) == 0 {
		o.takeover.reports.Forget(from.Node) // this report takes the place of an earlier one
	}
	n.report.Add(m)
	for i := range m.Topics {
		o.reportTopic(now, from, &m.Topics[i])
	}
	for _, r := range m.Patterns {
		o.interest.TakePattern(from.Node, r)
	}
	if m.IsLast {
		o.reported(now, n)
	}
}

// reported ends what a node has not reported, and takes the node for one that has reported.
func (o *Owner) reported(now time.Duration, n *node) {
	report := n.report
	n.report = interest.Report{}
	o.interest.DropPatterns(n.Node, report.Patterns)
	if !o.interest.IsSettled(n.Node) && len(report.Patterns) > 0 {
		o.send(n.Node, &cluster.Missed{Partition: o.o.Partition, Term: o.term})
	}
	o.forgetUnreported(now, n.Peer, &report)
	n.hasGap = false
	o.interest.Settle(n.Node)
	o.takeover.reports.Done(n.Node)
	wasSettled := o.takeover.isSettled
	o.tickTakeover(now)
	if !wasSettled {
		return
	}
	for _, r := range report.Topics {
		if t := o.interest.Find(r.Topic); t != nil && len(r.Members) > 0 {
			o.tellMembers(now, t, n.Node) // who has gone while a takeover went on was not told
		}
	}
}

// forgetUnreported ends what a node has not reported again: it was told of the end in a message that was lost.
func (o *Owner) forgetUnreported(now time.Duration, from cluster.Peer, r *interest.Report) {
	o.takeover.waiting = slices.DeleteFunc(o.takeover.waiting, func(w request) bool {
		j, isJoin := w.message.(*cluster.Join)
		return isJoin && w.from == from && !r.Has(j.Topic, j.Subscriber)
	})
	for _, d := range o.interest.NotIn(r, from.Node) {
		o.depart(now, d.Topic, d.Places, log.CauseLeft)
	}
}

func (o *Owner) reportTopic(now time.Duration, from cluster.Peer, r *cluster.TopicReport) {
	t := o.interest.Topic(r.Topic)
	t.Take(from.Node, r.Part)
	o.takeover.reports.Add(from.Node, r)
	if !t.Kind().HasMembers() && (o.takeover.isOver || !o.hasEdges(r.Topic)) {
		events, _ := t.Join(now, room.Join{})
		o.change(now, t, from, events, log.CauseLeft, &part{})
	}
	if isFirst := !o.interest.IsSettled(from.Node); t.Stream() == nil && isFirst || t.Stream() != nil && r.Position != o.interest.Position(t) {
		o.send(from.Node, &cluster.Stands{Partition: o.o.Partition, Term: o.term, Topic: *r.Topic, Position: o.interest.Position(t)})
	}
}

// tickTakeover goes on when every node has reported, or the time is over.
func (o *Owner) tickTakeover(now time.Duration) {
	v := &o.takeover
	isComplete := v.reports.IsComplete(o.mayBeAlive) || o.o.Faults.Has(cluster.FaultGoneBeforeReports)
	if o.term == 0 || !o.lease.IsValid(now) {
		return
	}
	if !v.isOver && (isComplete || now >= v.ends) {
		v.isOver = true
		o.enterReported(now)
		waiting := v.waiting
		v.waiting = nil
		for _, r := range waiting {
			o.decide(now, r)
		}
	} else if v.isOver && v.reports.HasMembers() {
		o.enterReported(now) // of a node that was late
	}
	if v.isOver && !v.isSettled && isComplete {
		o.compare(now)
	}
}

// enterReported makes what nodes have reported the state of rooms: members in the order in which they joined.
func (o *Owner) enterReported(now time.Duration) {
	list := o.takeover.reports.Take()
	for i := range list {
		r := &list[i]
		t := o.interest.Find(&r.Topic)
		if t == nil || !t.IsWantedBy(r.Node) {
			continue
		}
		o.interest.Enter(t, r.Place)
		events, _ := t.Join(now, room.Join{Subscriber: r.Subscriber, Member: r.Member})
		if !o.takeover.isSettled && !o.o.Tells(&r.Topic) {
			events = nil // nodes are told who is there when all have reported
		}
		o.change(now, t, o.nodes[r.Node].Peer, events, log.CauseLeft, &part{})
	}
	for _, t := range o.interest.Topics() {
		if nodes := t.Nodes(); len(nodes) > 0 && o.hasEdges(t.Topic()) && !t.Kind().HasMembers() {
			events, _ := t.Join(now, room.Join{})
			o.change(now, t, o.nodes[nodes[0]].Peer, events, log.CauseLeft, &part{})
		}
	}
}

// permitted leaves out of events what must not be told while a takeover goes on: the coming of what was told
// before the term, and every going, since a node that has not reported may have the same user.
func (o *Owner) permitted(t *interest.Topic, events []room.Event) (left []room.Event) {
	if o.takeover.isSettled {
		return events
	}
	for i := range events {
		s := log.Subject{Topic: *t.Topic()}
		switch events[i].Kind {
		case room.MemberRemoved, room.ChannelVacated, room.UserOffline:
			continue
		case room.MemberAdded:
			s.User = events[i].User
		default: // it stands for the topic
		}
		if _, isTold := o.told.Find(s); !isTold {
			left = append(left, events[i])
		}
	}
	return left
}

// compare ends a takeover: it decides the going of what was told to be there and is not, and tells nodes who is there.
func (o *Owner) compare(now time.Duration) {
	for _, s := range o.told.All() {
		if o.o.Faults.Has(cluster.FaultNotCompared) {
			break
		}
		t := o.interest.Topic(&s.Topic)
		isThere := t.Subscriptions() > 0
		e := log.Edge{Kind: log.EdgeTopic, Cause: log.CauseLeft, Time: o.o.Wall()}
		if at, _ := o.told.Find(s); o.nodes[at.Node] == nil || o.nodes[at.Node].Peer != at {
			e.Cause = log.CauseOrphaned
		}
		if s.User != "" {
			isThere = t.HasMember(s.User)
			e.Kind, e.User = log.EdgeMember, s.User
		}
		if isThere {
			o.interest.RemoveIfEmpty(t)
			continue
		}
		o.add(now, &part{topics: []protocol.Topic{s.Topic}, edges: []log.Record{o.edge(&s.Topic, e)}})
	}
	for _, t := range o.interest.Topics() {
		if to := t.Nodes(); len(to) > 0 {
			o.tellMembers(now, t, to...)
		}
	}
	o.takeover = takeover{isOver: true, isSettled: true}
}
