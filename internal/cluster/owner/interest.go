package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// join enters a node and a subscription. The answer follows what the join itself publishes, on the link that carries
// what is published afterwards.
func (o *Owner) join(now time.Duration, from cluster.Peer, m *cluster.Join) {
	t := o.interest.Keep(m.Topic)
	answer := &cluster.Joined{Request: m.Request, Term: o.term, Topic: *m.Topic}
	isNew := !t.IsWantedBy(from.Node)
	t.Take(from.Node, m.Part)
	events, refusal := t.Join(now, room.Join{Subscriber: m.Subscriber, Member: m.Member, MaxMembers: m.MaxMembers})
	if refusal != nil {
		if answer.Refusal = refusal; isNew {
			t.Drop(from.Node)
		}
		o.reply(from, answer)
		o.interest.RemoveIfEmpty(t)
		return
	}
	if m.Member != nil {
		answer.Order = o.interest.Enter(t, interest.Place{Node: from.Node, Subscriber: m.Subscriber})
	}
	if m.WantsMembers {
		answer.Members = t.Members()
	}
	answer.Retained = t.Retained(now)
	o.change(now, t, from, events, log.CauseLeft, &part{from: from, joined: answer})
}

// answerState tells the state of a topic with the position at which it is right.
func (o *Owner) answerState(p *part) {
	if p.joined != nil {
		p.joined.Position = o.interest.Position(o.interest.Topic(&p.joined.Topic))
		o.reply(p.from, p.joined)
	}
	if p.members != nil {
		p.members.Position = o.interest.Position(o.interest.Topic(&p.members.Topic))
		for _, id := range p.tells {
			o.send(id, p.members)
		}
	}
}

// leave ends a subscription. The node is not sent the topic any more with its last one.
func (o *Owner) leave(now time.Duration, from cluster.Peer, m *cluster.Leave) {
	t := o.interest.Find(&m.Topic)
	if t == nil || !t.IsWantedBy(from.Node) {
		return
	}
	t.Take(from.Node, m.Part)
	o.depart(now, t, t.EndsWith(interest.Place{Node: from.Node, Subscriber: m.Subscriber}), log.CauseLeft)
}

// leaveAll ends what a node has in a topic, with the node.
func (o *Owner) leaveAll(now time.Duration, t *interest.Topic, id cluster.NodeID) {
	t.End(id)
	o.depart(now, t, t.PlacesOf(id), log.CauseNodeDied)
}

// depart takes connections out of a topic whose parts are changed already.
func (o *Owner) depart(now time.Duration, t *interest.Topic, ps []interest.Place, cause log.Cause) {
	t.Remove(ps)
	if o.takeover.isOver || !o.hasEdges(t.Topic()) { // otherwise the room knows nothing of what nodes have reported yet
		o.change(now, t, cluster.Peer{}, t.Leave(ps), cause, &part{})
	}
	o.interest.RemoveIfEmpty(t)
}

// change publishes what a room has decided, and stores what webhooks are to be told of it, as one part. What has come is at
// a node.
func (o *Owner) change(now time.Duration, t *interest.Topic, at cluster.Peer, events []room.Event, cause log.Cause, p *part) {
	p.topics = append(p.topics, *t.Topic())
	events = o.permitted(t, events)
	p.edges = o.edges(t.Topic(), events, cause, at)
	for i := range events {
		told := events[i].Publication()
		if told == nil || events[i].Kind == room.CountNotice {
			continue
		}
		p.items = append(p.items, cluster.Item{Topic: told.Topic, Publication: &cluster.Publication{
			Kind: told.Kind, UserID: told.UserID, HasNumericID: told.HasNumericID, Except: told.Except, Data: told.Data,
		}})
		if told.Topic != *t.Topic() {
			p.topics = append(p.topics, told.Topic)
		}
	}
	const fixed = 64
	p.size = fixed * (1 + len(p.items) + len(p.edges))
	o.add(now, p)
}

// tellMembers tells nodes who is in a topic, once what waits for it has happened.
func (o *Owner) tellMembers(now time.Duration, t *interest.Topic, to ...cluster.NodeID) {
	if !t.Kind().HasMembers() {
		return
	}
	o.add(now, &part{topics: []protocol.Topic{*t.Topic()}, tells: to, members: &cluster.Members{
		Partition: o.o.Partition, Term: o.term, Topic: *t.Topic(), Members: t.Members(),
	}})
}

// joinPattern enters a node and a subscription with a pattern.
func (o *Owner) joinPattern(from cluster.Peer, m *cluster.JoinPattern) {
	o.interest.TakePattern(from.Node, cluster.PatternReport{Pattern: m.Pattern, Part: m.Part})
	o.reply(from, &cluster.PatternJoined{Request: m.Request, Term: o.term, Partition: m.Partition})
}

// leavePattern ends a subscription with a pattern.
func (o *Owner) leavePattern(from cluster.Peer, m *cluster.LeavePattern) {
	if o.interest.HasPattern(m.Pattern) {
		o.interest.TakePattern(from.Node, cluster.PatternReport{Pattern: m.Pattern, Part: m.Part})
	}
}
