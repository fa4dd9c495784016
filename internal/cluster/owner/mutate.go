package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// mutation is a batch on its way into the log.
type mutation struct {
	*cluster.Mutate
	askers []asker

	// Of the group that it is in.
	isDecided bool
	problem   string
	changes   *log.Changes // nil: nothing is stored
}

// asker waits for the answer to a batch.
type asker struct {
	cluster.Peer
	request cluster.RequestID
}

// mutationID tells batches apart: by the publication that they are made from, or by app and id.
type mutationID struct {
	feed  protocol.Topic
	place cluster.Position
	term  log.Term
	batch known.BatchID
}

func mutationIDOf(m *cluster.Mutate) mutationID {
	if f := m.Feed; f != nil {
		return mutationID{feed: f.Topic, place: f.Place, term: f.Term}
	}
	return mutationID{batch: batchIDOf(m)}
}

func batchIDOf(m *cluster.Mutate) known.BatchID { return known.BatchID{App: m.App, Text: m.ID} }

// mutate takes a batch. One that is on its way or was applied is answered as it is.
func (o *Owner) mutate(now time.Duration, from cluster.Peer, m *cluster.Mutate) {
	o.batches.Forget(now)
	a := asker{from, m.Request}
	if x := o.mutating[mutationIDOf(m)]; x != nil {
		x.askers = append(x.askers, a)
		return
	}
	x := &mutation{Mutate: m, askers: []asker{a}}
	if answer, isOver := o.outcomeOf(x); isOver {
		o.answerMutation(x, answer)
		return
	}
	p := &part{from: from, mutation: x, size: m.Size()}
	if m.ID != "" {
		p.reserves = batchIDOf(m).Cost()
	}
	if !o.hasRoom(now, p.reserves) {
		o.answerMutation(x, cluster.Mutated{Result: cluster.Busy})
		return
	}
	o.mutating[mutationIDOf(m)] = x
	o.add(now, p)
}

// outcomeOf is the answer to a batch by what is stored. It reports false for one that may still be applied.
func (o *Owner) outcomeOf(m *mutation) (answer cluster.Mutated, isOver bool) {
	if m.Feed == nil {
		seq, isKnown := o.batches.Find(batchIDOf(m.Mutate))
		return cluster.Mutated{Seq: seq}, isKnown
	}
	f := o.feeds[m.Feed.Topic]
	switch {
	case f.Is(m.Feed):
		return cluster.Mutated{Seq: f.Seq, Fed: f.Place}, true
	case f.Takes(m.Feed) || m.Feed.Term == 0 && o.isFeeding(m.Feed):
		return cluster.Mutated{}, false
	default:
		return cluster.Mutated{Result: cluster.Misplaced, Fed: f.Place}, true
	}
}

// isFeeding reports whether the batch that another one follows is on its way.
func (o *Owner) isFeeding(next *cluster.Feed) bool {
	return o.mutating[mutationID{feed: next.Topic, place: next.After}] != nil
}

// choose picks the batches of a group that are to be decided: those that still may be applied when the ones before them are.
func (o *Owner) choose(g *group) (batches []*cluster.Mutate) {
	fed := make(known.Feeds)
	for _, p := range g.parts {
		m := p.mutation
		if m == nil {
			continue
		}
		m.problem, m.changes = "", nil
		if m.isDecided = o.mayFollow(m, fed); m.isDecided {
			batches = append(batches, m.Mutate)
		}
	}
	return batches
}

// mayFollow reports whether a batch may be applied behind what is stored, and behind feeds of its group, to which it is added.
func (o *Owner) mayFollow(m *mutation, fed known.Feeds) bool {
	if m.Feed == nil {
		_, isKnown := o.batches.Find(batchIDOf(m.Mutate))
		return !isKnown
	}
	at, ok := fed[m.Feed.Topic]
	if !ok {
		at = o.feeds[m.Feed.Topic]
	}
	if !at.Takes(m.Feed) {
		return false
	}
	fed[m.Feed.Topic] = known.Fed{Place: m.Feed.Place, Term: m.Feed.Term}
	return true
}

// decideBatches has the batches of a group decided before it is proposed. It reports false if there are none.
func (o *Owner) decideBatches(g *group) bool {
	batches := o.choose(g)
	if len(batches) == 0 {
		return false
	}
	o.groups = append(o.groups, g)
	o.out.Add(cluster.Decide{Partition: o.o.Partition, Term: o.term, Batches: batches, MaxBytes: maxGroup})
	return true
}

// Decided answers a Decide, for the first of its batches. The others are in the next group.
func (o *Owner) Decided(now time.Duration, term log.Term, decided []cluster.Decided) {
	if o.term != term || len(o.groups) == 0 {
		return
	}
	g := o.groups[len(o.groups)-1]
	if !g.isDeciding() {
		return
	}
	o.groups = o.groups[:len(o.groups)-1]
	var parts, later []*part
	number := o.installed
	for _, p := range g.parts {
		m := p.mutation
		switch {
		case m == nil || !m.isDecided:
		case len(decided) == 0:
			later = append(later, p)
			continue
		default:
			if c := m.take(&decided[0]); c != nil {
				number++
				c.Number = number
				g.records = append(g.records, log.Record{Topic: protocol.Topic{App: m.App}, Kind: log.KindChanges, Changes: c})
			}
			decided = decided[1:]
		}
		parts = append(parts, p)
	}
	g.parts, o.behind = parts, append(later, o.behind...)
	o.proposeGroup(now, g)
	o.advance(now)
}

// take takes what was decided, and returns what is to be stored: of a batch that can never be applied the place of its
// feed, so that the next one follows.
func (m *mutation) take(d *cluster.Decided) *log.Changes {
	m.problem = d.Problem
	switch f := m.Feed; {
	case f != nil:
		m.changes = &log.Changes{Feed: &log.Feed{Topic: f.Topic, Place: log.Place(f.Place), Term: f.Term}, Seq: d.Seq, Body: d.Changes}
	case m.problem == "":
		m.changes = &log.Changes{ID: m.ID, TTL: m.KnownFor.Milliseconds(), Seq: d.Seq, Body: d.Changes}
	}
	return m.changes
}

// applyChanges takes changes that are stored, unless it has, and has them installed.
func (o *Owner) applyChanges(now time.Duration, app string, c *log.Changes) {
	if c.Number <= o.installed {
		return
	}
	o.installed = c.Number
	o.batches.Apply(now, app, c)
	o.feeds.Apply(c)
	if len(c.Body) > 0 {
		o.out.Add(cluster.InstallChanges{Partition: o.o.Partition, App: app, Number: c.Number, Seq: c.Seq, Changes: c.Body})
	}
}

// mutated carries out a batch whose group is stored, and answers.
func (o *Owner) mutated(now time.Duration, m *mutation) {
	answer, _ := o.outcomeOf(m)
	if m.changes != nil {
		o.applyChanges(now, m.App, m.changes)
		answer = cluster.Mutated{Seq: m.changes.Seq}
		if m.Feed != nil {
			answer.Fed = m.Feed.Place
		}
	}
	if m.problem != "" {
		answer.Result, answer.Seq, answer.Problem = cluster.Invalid, "", m.problem
	}
	o.answerMutation(m, answer)
}

// failMutation answers a batch whose group is not stored.
func (o *Owner) failMutation(m *mutation) {
	answer, isOver := o.outcomeOf(m)
	if !isOver {
		answer.Result = cluster.Unavailable
	}
	o.answerMutation(m, answer)
}

// abandonMutation refuses a batch that is not stored.
func (o *Owner) abandonMutation(m *mutation) {
	for _, a := range m.askers {
		o.refuse(a.Peer, a.request)
	}
}

// answerMutation ends a batch.
func (o *Owner) answerMutation(m *mutation, answer cluster.Mutated) {
	delete(o.mutating, mutationIDOf(m.Mutate))
	for _, a := range m.askers {
		own := answer
		own.Request = a.request
		o.reply(a.Peer, &own)
	}
}
