package fleet

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// feeder makes a batch from each publication of a logged topic, in the order of the fold of its node. Several nodes may do so at
// once.
type feeder struct {
	topic    protocol.Topic
	at       cluster.Position // the last one from which a batch was made, as far as the node knows
	isOn     bool
	isAsking bool
}

// isFed reports whether batches are made from a topic.
func isFed(t *protocol.Topic) bool {
	switch t.Name {
	case "log-0", "log-told-1", "presence-log-2", "ring-0", "plain-1":
		return true
	default:
		return false
	}
}

func feedID(f *cluster.Feed) string {
	return fmt.Sprintf("feed %s %d %s/%d", f.Topic.Name, f.Term, f.Place.StreamID, f.Place.Serial)
}

// feedBatch is the batch that is made from a publication.
func feedBatch(f *cluster.Feed) (b *model.Batch, body []byte) {
	b = &model.Batch{
		ID: feedID(f), IsBad: f.Place.Serial%9 == 7,
		Feed: f.Topic.Name, Term: uint64(f.Term), StreamID: f.Place.StreamID, Serial: f.Place.Serial,
	}
	in := &entity.Batch{App: f.Topic.App}
	write(b, in, model.Append, "Fed", f.Topic.Name)
	write(b, in, model.Replace, "Last", f.Topic.Name)
	if b.IsBad {
		in.Mutations[1].Data = nil
	}
	return b, entity.AppendBatch(nil, in)
}

// newFeeders are feeders that do nothing yet.
func newFeeders() map[protocol.Topic]*feeder {
	all := make(map[protocol.Topic]*feeder)
	for _, t := range topics() {
		if isFed(&t) && keeps(&t) == owner.Log {
			all[t] = &feeder{topic: t}
		}
	}
	return all
}

// feed has the node make batches of logged topics from now on.
func (m *member) feed() {
	if !m.isCore() {
		return
	}
	for _, t := range topics() {
		if d := m.feeders[t]; d != nil {
			d.isOn = true
			m.feedNext(d)
		}
	}
}

// feedNext asks for the batch of the next publication, if the node has one.
func (m *member) feedNext(d *feeder) {
	next := m.publishedAfter(d)
	if !d.isOn || d.isAsking || next == nil {
		return
	}
	d.isAsking = true
	f := &cluster.Feed{Topic: d.topic, Place: *next, After: d.at}
	b, body := feedBatch(f)
	m.ask(b, &asked{id: b.ID, feeder: d, place: *next}, cluster.Mutate{App: d.topic.App, Feed: f, Batch: body})
}

// publishedAfter is the place behind the last one from which a batch was made, as the fold has it.
func (m *member) publishedAfter(d *feeder) *cluster.Position {
	isBehind := d.at == cluster.Position{}
	for _, entry := range m.folds[cluster.PartitionOf(&d.topic, m.fleet.o.Partitions)].entries {
		for i := range entry.Group {
			r := &entry.Group[i]
			if r.Kind != log.KindPublication || r.Topic != d.topic {
				continue
			}
			at := cluster.Position{StreamID: r.Publication.StreamID, Serial: r.Publication.Serial}
			if isBehind {
				return &at
			}
			isBehind = at == d.at
		}
	}
	return nil
}

// hasFed takes the answer to a batch of a logged topic, and goes on.
func (m *member) hasFed(w *asked, answer *cluster.Mutated) {
	const again = 100 * time.Millisecond
	d, wait := w.feeder, time.Duration(0)
	switch answer.Result {
	case cluster.Done, cluster.Invalid:
		d.at = w.place
	case cluster.Misplaced:
		d.at = answer.Fed
	default:
		wait = again
	}
	m.node.Post(wait, func() {
		d.isAsking = false
		m.feedNext(d)
	})
}

// feedFrom has feeders go on when the fold has more.
func (m *member) feedFrom(e *sim.Entry) {
	for i := range e.Group {
		if d := m.feeders[e.Group[i].Topic]; d != nil && d.isOn {
			m.node.Post(0, func() { m.feedNext(d) })
		}
	}
}

// feedReceived makes a batch from a publication that the node has received, of a topic that is not logged.
func (m *member) feedReceived(e *cluster.Receive, p *cluster.Publication) {
	if p.Kind != protocol.KindEvent || p.Serial == 0 || !isFed(&e.Topic) || keeps(&e.Topic) == owner.Log {
		return
	}
	f := &cluster.Feed{Topic: e.Topic, Place: cluster.Position{StreamID: p.StreamID, Serial: p.Serial}, Term: e.Term}
	b, body := feedBatch(f)
	m.node.Post(0, func() { m.ask(b, &asked{id: b.ID}, cluster.Mutate{App: e.Topic.App, Feed: f, Batch: body}) })
}

// observeOwed tells the models of a publication of a logged topic from which a batch is to be made.
func (f *Fleet) observeOwed(t protocol.Topic, at cluster.Position) {
	if !isFed(&t) {
		return
	}
	b, _ := feedBatch(&cluster.Feed{Topic: t, Place: at})
	f.models.Entities.ObserveBatch(f.states.partition(t.App), b)
	f.models.Entities.ObserveOwed(b.ID)
}
