package owner

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// place is a connection in a topic with members, and the node that has it.
type place struct {
	node       cluster.NodeID
	subscriber protocol.SocketID
}

// join enters a node and a subscription. The answer follows what the join itself publishes, on the link that carries
// what is published afterwards.
func (o *Owner) join(now time.Duration, from cluster.Peer, m *cluster.Join) {
	t := o.kept(m.Topic)
	answer := &cluster.Joined{Request: m.Request, Term: o.term, Topic: *m.Topic}
	in := t.find(from.Node)
	isNew := in == nil
	t.take(from.Node, m.Part)
	events, refusal := t.room.Join(now, room.Join{
		Part: t.part(), Subscriber: m.Subscriber, Member: m.Member, MaxMembers: m.MaxMembers,
	}, nil)
	if refusal != nil {
		if answer.Refusal = refusal; isNew {
			t.drop(from.Node)
		}
		o.reply(from, answer)
		o.removeIfEmpty(t)
		return
	}
	if m.Member != nil {
		answer.Order = o.enter(t, place{from.Node, m.Subscriber})
	}
	if m.WantsMembers {
		answer.Members = t.room.Members()
	}
	if p, _ := t.room.Retained(now); p != nil {
		answer.Retained = fromRetained(p)
	}
	o.change(now, t, from, events, log.CauseLeft, &part{from: from, joined: answer})
}

// enter notes which node has a connection that is a member, and gives the join its number.
func (o *Owner) enter(t *topic, p place) (order uint64) {
	if t.places == nil {
		t.places = make(map[place]struct{})
	}
	t.places[p] = struct{}{}
	o.joins++
	return uint64(o.term)<<32 | o.joins
}

// placesOf are the connections of a node that are members, in an order that does not depend on chance.
func (t *topic) placesOf(id cluster.NodeID) (ps []place) {
	for p := range t.places {
		if p.node == id {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b place) int { return cmp.Compare(a.subscriber.String(), b.subscriber.String()) })
	return ps
}

// answerState tells the state of a topic with the position at which it is right.
func (o *Owner) answerState(p *part) {
	if p.joined != nil {
		p.joined.Position = o.position(o.topic(&p.joined.Topic))
		o.reply(p.from, p.joined)
	}
	if p.members != nil {
		p.members.Position = o.position(o.topic(&p.members.Topic))
		for _, id := range p.tells {
			o.send(id, p.members)
		}
	}
}

// leave ends a subscription. The node is not sent the topic any more with its last one.
func (o *Owner) leave(now time.Duration, from cluster.Peer, m *cluster.Leave) {
	t := o.topics.get(&m.Topic)
	if t == nil || t.find(from.Node) == nil {
		return
	}
	t.take(from.Node, m.Part)
	o.depart(now, t, []place{{from.Node, m.Subscriber}}, log.CauseLeft)
}

// leaveAll ends what a node has in a topic, with the node.
func (o *Owner) leaveAll(now time.Duration, t *topic, id cluster.NodeID) {
	t.find(id).Subscriptions = 0
	o.depart(now, t, t.placesOf(id), log.CauseNodeDied)
}

// depart takes connections out of a topic whose parts are changed already.
func (o *Owner) depart(now time.Duration, t *topic, ps []place, cause log.Cause) {
	events := []room.Event(nil)
	for _, p := range ps {
		delete(t.places, p)
	}
	sum := t.part()
	t.trim()
	if !o.takeover.isOver && o.hasEdges(t.room.Topic()) {
		return // the room knows nothing of what nodes have reported yet
	}
	if len(ps) == 0 {
		events = t.room.Leave(room.Leave{Part: sum}, events)
	}
	for _, p := range ps {
		events = t.room.Leave(room.Leave{Part: sum, Subscriber: p.subscriber}, events)
	}
	o.change(now, t, cluster.Peer{}, events, cause, &part{})
	o.removeIfEmpty(t)
}

// change publishes what a room has decided, and stores what webhooks are to be told of it, as one part. What has come is at
// a node.
func (o *Owner) change(now time.Duration, t *topic, at cluster.Peer, events []room.Event, cause log.Cause, p *part) {
	p.topics = append(p.topics, *t.room.Topic())
	events = o.permitted(t, events)
	p.edges = o.edges(t.room.Topic(), events, cause, at)
	for i := range events {
		told := events[i].Publication()
		if told == nil || events[i].Kind == room.CountNotice {
			continue
		}
		p.items = append(p.items, cluster.Item{Topic: told.Topic, Publication: &cluster.Publication{
			Kind: told.Kind, UserID: told.UserID, HasNumericID: told.HasNumericID, Except: told.Except, Data: told.Data,
		}})
		if told.Topic != *t.room.Topic() {
			p.topics = append(p.topics, told.Topic)
		}
	}
	const fixed = 64
	p.size = fixed * (1 + len(p.items) + len(p.edges))
	o.add(now, p)
}

// tellMembers tells nodes who is in a topic, once what waits for it has happened.
func (o *Owner) tellMembers(now time.Duration, t *topic, to ...cluster.NodeID) {
	if !t.room.Kind().HasMembers() {
		return
	}
	o.add(now, &part{topics: []protocol.Topic{*t.room.Topic()}, tells: to, members: &cluster.Members{
		Partition: o.o.Partition, Term: o.term, Topic: *t.room.Topic(), Members: t.room.Members(),
	}})
}
