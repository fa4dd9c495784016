package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// request is a message that waits to be decided.
type request struct {
	from    cluster.Peer
	message cluster.Message
}

// queue is requests in the order in which they came.
type queue struct {
	waiting []request
	size    int
}

func (q *queue) add(r request) {
	q.waiting = append(q.waiting, r)
	q.size += r.message.Size()
}

// refuseFull refuses a message that brings more to store, since too much waits. It reports false if the message is of another kind.
func (o *Owner) refuseFull(from cluster.Peer, m cluster.Message) bool {
	switch m := m.(type) {
	case *cluster.Publish:
		o.send(from.Node, &cluster.Published{Request: m.Request, Term: o.term, Outcomes: outcomes(len(m.Items), cluster.Unavailable)})
	case *cluster.Claim:
		o.send(from.Node, &cluster.Claimed{Request: m.Request, Term: o.term, Result: cluster.Unavailable})
	case *cluster.Mutate:
		o.send(from.Node, &cluster.Mutated{Request: m.Request, Result: cluster.Unavailable})
	default:
		return false
	}
	return true
}

func (q *queue) pop() {
	q.size -= q.waiting[0].message.Size()
	q.waiting[0] = request{}
	q.waiting = q.waiting[1:]
}

func (q *queue) takeAll() []request {
	rs := q.waiting
	*q = queue{}
	return rs
}

// topicsIn calls fn with the topics of which a message needs to know the position.
func topicsIn(m cluster.Message, fn func(*protocol.Topic)) {
	switch m := m.(type) {
	case *cluster.Publish:
		for i := range m.Items {
			fn(&m.Items[i].Topic)
		}
	case *cluster.Join:
		fn(m.Topic)
	case *cluster.Replay:
		fn(&m.Topic)
	case *cluster.Report:
		for i := range m.Topics {
			fn(m.Topics[i].Topic)
		}
	}
}

// load asks for the streams that a message needs and the owner does not know yet.
func (o *Owner) load(m cluster.Message) {
	topicsIn(m, func(t *protocol.Topic) {
		if o.o.Keeps(t) != Log {
			return
		}
		if o.interest.Load(t) {
			o.out.Add(cluster.Load{Partition: o.o.Partition, Topic: *t})
		}
	})
}

// Loaded answers a Load: the stream of a topic, as of everything that was committed before the term.
func (o *Owner) Loaded(now time.Duration, t *protocol.Topic, s log.Stream) {
	if o.interest.Loaded(t, s) {
		o.advance(now)
	}
}

// isReady reports whether the owner knows all that a request needs.
func (o *Owner) isReady(m cluster.Message) bool {
	isReady := true
	topicsIn(m, func(t *protocol.Topic) {
		isReady = isReady && !o.interest.IsLoading(t)
	})
	return isReady
}

// advance decides what can be decided, and proposes the next group.
func (o *Owner) advance(now time.Duration) {
	for len(o.queue.waiting) > 0 && !o.hasStopped() && o.lease.IsValid(now) && o.isReady(o.queue.waiting[0].message) {
		r := o.queue.waiting[0]
		o.queue.pop()
		o.decide(now, r)
	}
	o.propose(now)
}

func (o *Owner) decide(now time.Duration, r request) {
	if n := o.nodes[r.from.Node]; n == nil || n.Incarnation != r.from.Incarnation {
		return // it has gone while the request waited
	}
	switch m := r.message.(type) {
	case *cluster.Publish:
		o.publish(now, r.from, m)
	case *cluster.Claim:
		o.claim(now, r.from, m)
	case *cluster.Settle:
		o.settleClaim(now, r.from, m)
	case *cluster.Join:
		if !o.takeover.isOver && o.hasEdges(m.Topic) {
			o.takeover.waiting = append(o.takeover.waiting, r)
			return
		}
		o.join(now, r.from, m)
	case *cluster.Leave:
		if !o.takeover.isOver && o.hasEdges(&m.Topic) {
			o.takeover.waiting = append(o.takeover.waiting, r)
			return
		}
		o.leave(now, r.from, m)
	case *cluster.JoinPattern:
		o.joinPattern(r.from, m)
	case *cluster.LeavePattern:
		o.leavePattern(r.from, m)
	case *cluster.AskMembers:
		if o.takeover.isSettled { // otherwise every node is told then
			o.tellMembers(now, o.interest.Topic(&m.Topic), r.from.Node)
		}
	case *cluster.Replay:
		o.replay(r.from, m)
	case *cluster.Report:
		o.report(now, r.from, m)
	case *cluster.Renew:
		o.contacts.Renew(now, r.from, m)
	case *cluster.Fetch:
		o.contacts.Fetch(r.from, m)
	case *cluster.Change:
		if c := o.contacts.Change(now, r.from, m); c != nil {
			o.add(now, &part{from: r.from, change: c, size: m.Size()})
		}
	case *cluster.Mutate:
		o.mutate(now, r.from, m)
	}
}
