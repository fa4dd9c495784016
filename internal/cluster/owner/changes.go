package owner

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// spreadTime is how long a change waits for nodes that are alive.
const spreadTime = 5 * time.Second

// change is another document of an app.
type change struct {
	document cluster.Document
	askers   []asker
	ends     time.Duration
}

// asker waits for the answer to a change.
type asker struct {
	cluster.Peer
	request cluster.RequestID
}

// changeApp takes a change. One that was decided before is answered as it is.
func (o *Owner) changeApp(now time.Duration, from cluster.Peer, m *cluster.Change) {
	a := asker{from, m.Request}
	if c := o.findChange(m.ID); c != nil {
		c.askers = append(c.askers, a)
		return
	}
	c := &change{document: cluster.Document{App: m.App, ID: m.ID, Body: m.Body}, askers: []asker{a}}
	if number, isStored := o.documents.Find(m.ID); isStored {
		c.document.Number = number
		o.spread(now, c)
		return
	}
	o.add(now, &part{from: from, change: c, size: m.Size()})
}

// findChange finds a change of the term that is not answered.
func (o *Owner) findChange(id string) *change {
	for p := range o.undone() {
		if p.change != nil && p.change.document.ID == id {
			return p.change
		}
	}
	for _, c := range o.spreading {
		if c.document.ID == id {
			return c
		}
	}
	return nil
}

// numberChange decides the number of a change, and returns its record.
func (o *Owner) numberChange(c *change) log.Record {
	c.document.Number = o.documents.Decide()
	return log.Record{
		Topic: protocol.Topic{App: c.document.App}, Kind: log.KindState,
		State: &log.State{Number: c.document.Number, ID: c.document.ID, Body: c.document.Body},
	}
}

// changed makes a change that is stored the state, and tells every node.
func (o *Owner) changed(now time.Duration, c *change) {
	o.documents.Apply(&c.document)
	for _, id := range o.aliveNodes() {
		o.send(id, &cluster.State{
			Partition: o.o.Partition, Term: o.term, After: c.document.Number - 1, Number: c.document.Number, Documents: []cluster.Document{c.document},
		})
	}
	o.spread(now, c)
}

// spread waits until nodes have a change.
func (o *Owner) spread(now time.Duration, c *change) {
	c.ends = now + spreadTime
	o.spreading = append(o.spreading, c)
	o.settleChanges(now)
}

// settleChanges answers changes that every node has, or that have waited long enough.
func (o *Owner) settleChanges(now time.Duration) {
	o.spreading = slices.DeleteFunc(o.spreading, func(c *change) bool {
		missing := o.missing(now, c.document.Number)
		if len(missing) > 0 && now < c.ends {
			return false
		}
		for _, a := range c.askers {
			o.reply(a.Peer, &cluster.Changed{Request: a.request, Term: o.term, Number: c.document.Number, Missing: missing})
		}
		return true
	})
}

// missing are the nodes that may admit connections and do not have a change.
func (o *Owner) missing(now time.Duration, number uint64) (ids []cluster.NodeID) {
	if o.o.Faults.Has(cluster.FaultChangedAtOnce) {
		return nil
	}
	for _, id := range o.allNodes() {
		n := o.nodes[id]
		if n == nil && o.lender.IsOut(id, now) || n != nil && n.contact.state >= number {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// abandonChange refuses a change that is not stored.
func (o *Owner) abandonChange(c *change) {
	for _, a := range c.askers {
		o.refuse(a.Peer, a.request)
	}
}

// fetch sends documents that have changed after a number.
func (o *Owner) fetch(from cluster.Peer, m *cluster.Fetch) {
	answer := &cluster.State{Partition: o.o.Partition, Term: o.term, After: m.After}
	answer.Documents, answer.Number = o.documents.After(m.After, maxPiece)
	o.send(from.Node, answer)
}

// HasState is the number of the state of the partition, as far as it is stored.
func (o *Owner) HasState() uint64 { return o.documents.Number() }
