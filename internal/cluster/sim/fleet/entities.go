package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/entity"
	entityowner "github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/log"
)

// entities are what one process of a core node has of entities, by partition: their state, which the log changes, and what decides
// beside it. The deciders are the product's.
type entities struct {
	states   []*entity.State
	deciders []*entityowner.Decider
}

func (m *member) newEntities() (e entities) {
	for p := range m.fleet.o.Partitions {
		s := entity.NewState(nil)
		tag := uint64(m.lives)*10 + uint64(slices.Index(m.fleet.names, m.id)) + uint64(p)*1000 //nolint:gosec // small
		e.states = append(e.states, s)
		e.deciders = append(e.deciders, entityowner.NewDecider(s, entityowner.Options{
			Now: m.node.Wall, Tag: func() uint64 { tag += 10_000; return tag%entity.MaxTag + 1 },
		}))
	}
	return e
}

// decide decides batches, and tells the machine a moment later.
func (m *member) decide(e cluster.Decide) {
	batches := make([]*entity.Batch, len(e.Batches))
	for i, asked := range e.Batches {
		b, err := entity.DecodeBatch(asked.App, asked.Batch)
		if err != nil {
			m.fleet.breaks("entities: %s cannot read a batch: %v", m.id, err)
			b = &entity.Batch{App: asked.App}
		}
		batches[i] = b
	}
	var decided []cluster.Decided
	for _, d := range m.entities.deciders[e.Partition].Decide(uint64(e.Term), batches, e.MaxBytes) {
		if d.Problem != nil {
			decided = append(decided, cluster.Decided{Problem: d.Problem.Message})
			continue
		}
		decided = append(decided, cluster.Decided{Seq: d.Seq.String(), Changes: d.Changes})
	}
	m.node.Post(200*time.Microsecond, func() {
		m.do(func(now time.Duration) { m.machine.Decided(now, e.Partition, e.Term, decided) })
	})
}

// install makes changes a part of the state of the node.
func (m *member) install(e cluster.InstallChanges) {
	f := m.fleet
	var w writes
	all, err := entity.DecodeDecisions(e.App, e.Changes)
	for i := range all {
		if err == nil {
			err = m.entities.states[e.Partition].Install(&all[i], &w)
		}
	}
	if err != nil {
		f.breaks("entities: %s installs changes %d of partition %d: %v", m.id, e.Number, e.Partition, err)
		return
	}
	f.models.Entities.ObserveInstalled(f.now(), m.id, e.Partition, e.Seq, w)
}

// writes are what a state tells of changes.
type writes []model.Write

// Changed implements entity.Receiver.
func (w *writes) Changed(t *entity.Type, changes []entity.Change) {
	for _, c := range changes {
		x := model.Write{Entity: nameOf(t.App, t.Name, c.Key)}
		switch c.Op {
		case entity.OpPatch:
			x.Kind, x.Mark = model.Append, strings.Join(marksOf(c.Patch), " ")
		case entity.OpUpsert:
			x.Kind, x.Mark = model.Replace, strings.Join(marksOf(c.Data), " ")
		case entity.OpDelete:
			x.Kind = model.Remove
		}
		*w = append(*w, x)
	}
}

func nameOf(app, kind, key string) string { return app + "/" + kind + "/" + key }

// marksOf are the marks in the data of an entity, or in a patch of it.
func marksOf(data []byte) []string {
	var content struct {
		Log []string `json:"log"`
	}
	_ = json.Unmarshal(data, &content) // without marks none is found
	return content.Log
}

// contents are the marks of all entities on all nodes that have the log.
func (f *Fleet) contents() map[cluster.NodeID]map[string][]string {
	all := make(map[cluster.NodeID]map[string][]string)
	for _, id := range f.cores {
		m := f.nodes[id]
		if m.machine == nil {
			continue
		}
		all[id] = make(map[string][]string)
		for _, s := range m.entities.states {
			for _, t := range s.All() {
				for _, v := range t.AfterLocked(nil, 0, t.LenLocked()+1) {
					all[id][nameOf(t.App, t.Name, v.Key)] = marksOf(v.Data)
				}
			}
		}
	}
	return all
}

// markSeparator stands between the id of a batch and the number of a write in it.
const markSeparator = "#"

// observeChanges tells the models of a batch that is in the log. They know it by what it has written.
func (f *Fleet) observeChanges(r *log.Record) {
	c := r.Changes
	id := c.ID
	if c.Feed != nil {
		id = feedID(&cluster.Feed{Topic: c.Feed.Topic, Place: cluster.Position(c.Feed.Place), Term: c.Feed.Term})
	}
	all, err := entity.DecodeDecisions(r.Topic.App, c.Body)
	if err != nil {
		f.breaks("entities: changes %d cannot be read: %v", c.Number, err)
	}
	for i := range all {
		for _, d := range all[i].List {
			data := d.Patch
			if data == nil {
				data = d.Data
			}
			if marks := marksOf(data); len(marks) > 0 {
				id, _, _ = strings.Cut(marks[0], markSeparator)
			}
		}
	}
	f.models.Entities.ObserveStored(f.now(), f.states.partition(r.Topic.App), c.Number, id, c.Seq)
}

// drawBatch is the batch with a number: the same each time.
func drawBatch(number uint64) (b *model.Batch, body []byte) {
	b = &model.Batch{ID: fmt.Sprintf("batch-%d", number), IsBad: number%13 == 5}
	in := &entity.Batch{App: []string{app, "app-2"}[number%2]}
	for i := range 1 + number%4 {
		kind := model.Append
		switch {
		case number%5 == 3:
			kind = model.Replace
		case (number+i)%7 == 2:
			kind = model.Remove
		}
		write(b, in, kind, fmt.Sprintf("Type%d", (number+i)%3), fmt.Sprintf("key-%d", (number*5+i*3)%7))
	}
	if b.IsBad {
		in.Mutations[len(in.Mutations)-1] = entity.Mutation{Type: "Type1", Op: entity.OpUpsert, Data: []byte("1")}
	}
	return b, entity.AppendBatch(nil, in)
}

// write adds a write to a batch, as the models and as a decider read it.
func write(b *model.Batch, in *entity.Batch, kind model.WriteKind, typeName, key string) {
	w := model.Write{Kind: kind, Entity: nameOf(in.App, typeName, key)}
	m := entity.Mutation{Type: typeName, Key: key, Op: entity.OpDelete}
	if kind != model.Remove {
		w.Mark = fmt.Sprint(b.ID, markSeparator, len(b.Writes))
		m.Op, m.Data = entity.OpUpsert, []byte(`{"log":["`+w.Mark+`"]}`)
	}
	if kind == model.Append {
		m.Op, m.Append = entity.OpPatch, []string{"log"}
	}
	b.Writes = append(b.Writes, w)
	in.Mutations = append(in.Mutations, m)
}

// asked is a batch that a node was asked for.
type asked struct {
	id     string
	feeder *feeder // nil: a publisher has asked
	place  cluster.Position
}

// mutate has a backend at the node ask for a batch.
func (m *member) mutate(number uint64) {
	b, body := drawBatch(number)
	m.ask(b, &asked{id: b.ID}, cluster.Mutate{App: []string{app, "app-2"}[number%2], ID: b.ID, Batch: body})
}

func (m *member) ask(b *model.Batch, w *asked, c cluster.Mutate) {
	f := m.fleet
	f.models.Entities.ObserveBatch(f.states.partition(c.App), b)
	f.models.Entities.ObserveTry(b.ID)
	m.do(func(now time.Duration) { m.clients.requests[m.machine.Mutate(now, c)] = &waiting{asked: w} })
}

// mutated takes the answer to a batch.
func (m *member) mutated(w *asked, e cluster.Answer) {
	f := m.fleet
	answer, ok := e.Message.(*cluster.Mutated)
	if !ok {
		answer = &cluster.Mutated{Result: e.Result}
	}
	f.models.Entities.ObserveAnswer(f.now(), w.id, answer.Result, answer.Seq)
	if w.feeder != nil {
		m.hasFed(w, answer)
	}
}
