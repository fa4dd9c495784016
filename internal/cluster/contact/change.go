package contact

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	// spreadTime is how long a change waits for nodes that are alive.
	spreadTime = 5 * time.Second
	// maxPiece is how many bytes of documents a State has, but one document always.
	maxPiece = 64 << 10
)

// Change is another document of an app, until its askers are answered.
type Change struct {
	document cluster.Document
	askers   []asker
	ends     time.Duration
}

// asker waits for the answer to a change.
type asker struct {
	cluster.Peer
	request cluster.RequestID
}

// Change takes a change, and returns it if it is to be stored: the caller calls Decide, and then Commit, Undecide or Abandon. A
// change that is known is answered as it is.
func (r *Register) Change(now time.Duration, from cluster.Peer, m *cluster.Change) *Change {
	a := asker{from, m.Request}
	for _, open := range [][]*Change{r.deciding, r.spreading} {
		if i := slices.IndexFunc(open, func(c *Change) bool { return c.document.ID == m.ID }); i >= 0 {
			open[i].askers = append(open[i].askers, a)
			return nil
		}
	}
	c := &Change{document: cluster.Document{App: m.App, ID: m.ID, Body: m.Body}, askers: []asker{a}}
	if number, isStored := r.documents.find(m.ID); isStored {
		c.document.Number = number
		r.spread(now, c)
		return nil
	}
	r.deciding = append(r.deciding, c)
	return c
}

// Decide decides the number of a change, and returns its record.
func (r *Register) Decide(c *Change) log.Record {
	c.document.Number = r.documents.decide()
	return log.Record{
		Topic: protocol.Topic{App: c.document.App}, Kind: log.KindState,
		State: &log.State{Number: c.document.Number, ID: c.document.ID, Body: c.document.Body},
	}
}

// Undecide takes the number of a change back, whose record is not stored. It is decided again.
func (r *Register) Undecide(c *Change) { r.documents.undecide(c.document.Number) }

// Commit makes a change that is stored the state, and tells every node.
func (r *Register) Commit(now time.Duration, c *Change) {
	r.deciding = slices.DeleteFunc(r.deciding, func(d *Change) bool { return d == c })
	r.documents.apply(&c.document)
	for _, id := range r.alive() {
		r.send(id, &cluster.State{
			Partition: r.o.Partition, Term: r.term, After: c.document.Number - 1, Number: c.document.Number, Documents: []cluster.Document{c.document},
		})
	}
	r.spread(now, c)
}

// Abandon refuses a change that is not stored.
func (r *Register) Abandon(c *Change) {
	r.deciding = slices.DeleteFunc(r.deciding, func(d *Change) bool { return d == c })
	for _, a := range c.askers {
		r.reply(a.Peer, &cluster.Moved{Request: a.request, Partition: r.o.Partition})
	}
}

// spread waits until nodes have a change.
func (r *Register) spread(now time.Duration, c *Change) {
	c.ends = now + spreadTime
	r.spreading = append(r.spreading, c)
	r.settle(now)
}

// settle answers changes that every node has, or that have waited long enough.
func (r *Register) settle(now time.Duration) {
	r.spreading = slices.DeleteFunc(r.spreading, func(c *Change) bool {
		missing := r.missing(now, c.document.Number)
		if len(missing) > 0 && now < c.ends {
			return false
		}
		for _, a := range c.askers {
			r.reply(a.Peer, &cluster.Changed{Request: a.request, Term: r.term, Number: c.document.Number, Missing: missing})
		}
		return true
	})
}

// missing are the nodes that may admit connections and do not have a change.
func (r *Register) missing(now time.Duration, number uint64) (ids []cluster.NodeID) {
	if r.o.Faults.Has(cluster.FaultChangedAtOnce) {
		return nil
	}
	for _, id := range r.o.Nodes {
		n := r.nodes[id]
		if n == nil && r.lender.IsOut(id, now) || n != nil && n.state >= number {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// IsStored reports whether a message asks for a change that is stored.
func (r *Register) IsStored(m cluster.Message) bool {
	c, ok := m.(*cluster.Change)
	if !ok {
		return false
	}
	_, ok = r.documents.find(c.ID)
	return ok
}

// Unanswered takes the changes that are stored and not answered, as their askers have asked: another owner answers them.
func (r *Register) Unanswered() (list []cluster.Forwarded) {
	for _, c := range r.spreading {
		for _, a := range c.askers {
			list = append(list, cluster.Forwarded{From: a.Peer, Message: &cluster.Change{
				Request: a.request, Partition: r.o.Partition, App: c.document.App, ID: c.document.ID, Body: c.document.Body,
			}})
		}
	}
	r.spreading = nil
	return list
}

// Applied takes a record of a change, of this owner or an earlier one.
func (r *Register) Applied(rec *log.Record) {
	r.documents.apply(&cluster.Document{App: rec.Topic.App, Number: rec.State.Number, ID: rec.State.ID, Body: rec.State.Body})
}

// Fetch sends documents that have changed after a number.
func (r *Register) Fetch(from cluster.Peer, m *cluster.Fetch) {
	answer := &cluster.State{Partition: r.o.Partition, Term: r.term, After: m.After}
	answer.Documents, answer.Number = r.documents.after(m.After, maxPiece)
	r.send(from.Node, answer)
}

// HasState is the number of the state of the partition, as far as it is stored.
func (r *Register) HasState() uint64 { return r.documents.number }
