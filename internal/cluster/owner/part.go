package owner

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/contact"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// part is what one request, or one event at the owner, does to topics. It is carried out whole or not at all, and in
// each topic in the order in which parts were made.
type part struct {
	from     cluster.Peer      // whose request it is; without a node for the owner's own
	request  cluster.RequestID // a Publish
	items    []cluster.Item
	claiming *known.Claiming  // a Claim or a Settle
	edges    []log.Record     // what webhooks are to be told
	joined   *cluster.Joined  // the answer to a Join
	members  *cluster.Members // sent to tells
	tells    []cluster.NodeID // nodes with the topic of members
	change   *contact.Change
	mutation *mutation        // a Mutate
	topics   []protocol.Topic // all that it concerns
	size     int
	reserves int // bytes of keys

	// Of the group that the part is in.
	outcomes []cluster.Outcome
	decided  []*cluster.Publication // by item; nil where the id of an item was known
	isEcho   bool                   // an item was known from a group that is not stored yet
}

// asks is the request that the part answers; zero: none.
func (p *part) asks() cluster.RequestID {
	switch {
	case p.joined != nil:
		return p.joined.Request
	case p.claiming != nil:
		return p.claiming.Request()
	default:
		return p.request
	}
}

// isFirm reports whether the part must happen, since the owner's own state says already that it has.
func (p *part) isFirm() bool { return p.joined != nil || p.change != nil || p.from.Node == "" }

// isKnown reports whether everything in the part has happened before, whatever becomes of its group.
func (p *part) isKnown() bool {
	return !p.isEcho && !slices.ContainsFunc(p.decided, func(d *cluster.Publication) bool { return d != nil })
}

// add takes a part: it is carried out now where it stores nothing and nothing of its topics waits; otherwise it waits for
// the next group.
func (o *Owner) add(now time.Duration, p *part) {
	mustWait := len(p.edges) > 0 || p.claiming != nil || p.change != nil || p.mutation != nil
	for i := range p.topics {
		t := o.interest.Topic(&p.topics[i])
		mustWait = mustWait || t.IsHeld()
	}
	for i := range p.items {
		mustWait = mustWait || o.stores(&p.items[i])
	}
	if !mustWait {
		o.assign(p)
		o.carryOut(now, []*part{p})
		return
	}
	o.hold(p)
	o.behind = append(o.behind, p)
}

// stores reports whether the log is told of an item.
func (o *Owner) stores(it *cluster.Item) bool { return it.KnownFor > 0 || o.o.Keeps(&it.Topic) == Log }

// assign decides the place of each item, and returns what is to be stored.
func (o *Owner) assign(p *part) (records []log.Record) {
	p.outcomes, p.decided, p.isEcho = outcomes(len(p.items), cluster.Done), make([]*cluster.Publication, len(p.items)), false
	for i := range p.items {
		it := &p.items[i]
		key := known.IDOf(it)
		if at, isDeciding, ok := o.ids.Find(key); ok {
			p.outcomes[i].Position = at
			p.isEcho = p.isEcho || isDeciding
			continue
		}
		d := o.place(it)
		if o.o.Keeps(&it.Topic) == Log {
			records = append(records, log.Record{Topic: it.Topic, Kind: log.KindPublication, Publication: d})
		}
		p.decided[i] = d
		p.outcomes[i].Position = cluster.Position{StreamID: d.StreamID, Serial: d.Serial}
		if it.KnownFor > 0 {
			records = append(records, log.Record{Topic: it.Topic, Kind: log.KindKnown, Known: &log.Known{
				ID: d.MessageID, Place: log.Place(p.outcomes[i].Position), TTL: it.KnownFor.Milliseconds(),
			}})
		}
		if !o.o.Faults.Has(cluster.FaultAppliedIDsOnly) {
			o.ids.Decide(key, p.outcomes[i].Position)
		}
	}
	if p.claiming != nil {
		records = append(records, o.assignClaim(p.claiming)...)
	}
	if p.change != nil {
		records = append(records, o.contacts.Decide(p.change))
	}
	return append(records, p.edges...)
}

// place gives an item the next place in its topic. A topic that keeps nothing gives places at delivery.
func (o *Owner) place(it *cluster.Item) *cluster.Publication {
	d := *it.Publication
	d.Time = o.o.Wall()
	if s := o.interest.Topic(&it.Topic).Stream(); s != nil {
		s.Place(&d)
	}
	return &d
}

// takeBack undoes assign.
func (o *Owner) takeBack(p *part) {
	if p.change != nil {
		o.contacts.Undecide(p.change)
	}
	for i, d := range p.decided {
		if d == nil {
			continue
		}
		if s := o.interest.Topic(&p.items[i].Topic).Stream(); s != nil {
			s.TakeBack(d)
		}
		o.ids.Undecide(known.IDOf(&p.items[i]))
	}
}

// carryOut delivers what was decided, and answers. What is published to one topic by parts that follow each other goes
// out together, but a node that joins is answered before it is sent what comes later.
func (o *Owner) carryOut(now time.Duration, ps []*part) {
	var d delivery
	for _, p := range ps {
		for i := range p.items {
			if p.decided[i] != nil {
				o.settle(now, p, i)
				d.add(o.interest.Topic(&p.items[i].Topic), p.decided[i])
			}
		}
		if p.claiming != nil {
			o.carryOutClaim(now, p)
		}
		if p.change != nil {
			o.contacts.Commit(now, p.change)
		}
		if p.mutation != nil {
			o.mutated(now, p.mutation)
		}
		if p.joined != nil || p.members != nil {
			o.flush(&d)
			o.answerState(p)
		}
	}
	o.flush(&d)
	for _, p := range ps {
		if p.request != 0 {
			o.published(p, p.outcomes)
		}
		for i := range p.topics {
			if t := o.interest.Find(&p.topics[i]); t != nil {
				o.interest.RemoveIfEmpty(t)
			}
		}
	}
}

// settle notes what an item that has happened leaves behind.
func (o *Owner) settle(now time.Duration, p *part, i int) {
	it, d := &p.items[i], p.decided[i]
	if d.StreamID == "" {
		d.Serial = o.interest.NextOffset()
		p.outcomes[i].Position.Serial = d.Serial
	}
	if it.Retain > 0 {
		o.interest.Topic(&it.Topic).Retain(now, d, it.Retain)
	}
	if !o.o.Faults.Has(cluster.FaultAppliedIDsOnly) {
		o.ids.Keep(now, known.IDOf(it), known.Place{Position: cluster.Position{StreamID: d.StreamID, Serial: d.Serial}, IsStored: o.stores(it)}, it.KnownFor)
	}
}

// delivery is publications by topic, in the order of the topics' first ones.
type delivery struct {
	topics []*interest.Topic
	of     map[*interest.Topic][]*cluster.Publication
}

func (d *delivery) add(t *interest.Topic, p *cluster.Publication) {
	if d.of == nil {
		d.of = make(map[*interest.Topic][]*cluster.Publication)
	}
	if d.of[t] == nil {
		d.topics = append(d.topics, t)
	}
	d.of[t] = append(d.of[t], p)
}

// flush delivers all of d.
func (o *Owner) flush(d *delivery) {
	for _, t := range d.topics {
		o.deliver(t, d.of[t])
	}
	*d = delivery{}
}

// deliver sends publications of one topic to every node that may want them.
func (o *Owner) deliver(t *interest.Topic, ps []*cluster.Publication) {
	m := &cluster.Deliver{Partition: o.o.Partition, Term: o.term, Topic: *t.Topic(), Publications: ps}
	for _, id := range o.interest.Deliver(t, ps) {
		o.send(id, m)
	}
}

// answerAll answers every item with the same result.
func (o *Owner) answerAll(p *part, r cluster.Result) {
	o.published(p, outcomes(len(p.items), r))
}

func (o *Owner) published(p *part, os []cluster.Outcome) {
	m := &cluster.Published{Request: p.request, Term: o.term, Outcomes: os}
	if n := o.nodes[p.from.Node]; n != nil && n.Incarnation == p.from.Incarnation {
		n.answers.Keep(m)
	}
	o.reply(p.from, m)
}

func outcomes(n int, r cluster.Result) []cluster.Outcome {
	os := make([]cluster.Outcome, n)
	for i := range os {
		os[i].Result = r
	}
	return os
}
