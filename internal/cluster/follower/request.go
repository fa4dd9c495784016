package follower

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// request is a question to the owner of a partition that has no answer yet.
type request struct {
	id        cluster.RequestID
	partition cluster.Partition
	message   cluster.Message // Publish, Claim, Join or Replay
	ends      time.Duration
	asked     cluster.NodeID // last
	asks      int            // that no node has said it did not carry out: the request may have happened
	isSafe    bool           // asking twice does no harm
	isOwn     bool           // the follower's own Replay, of which no caller knows
	keyed     *keyed         // which the request is a step of
	joining   *joining       // which the request is a part of
	items     []int          // of keyed: those that a Publish asks for
}

// add makes a request.
func (f *Follower) add(now time.Duration, p cluster.Partition) *request {
	f.last++
	r := &request{id: f.last, partition: p, ends: now + f.o.Timeout}
	f.requests[r.id] = r
	f.order = append(f.order, r.id)
	return r
}

// ask sends a request, if the owner is known. Otherwise it waits for one.
func (f *Follower) ask(r *request) {
	if f.isIsolated() && f.isForOthers(r) {
		f.waitForOthers(r)
		return
	}
	if w := f.owners[r.partition]; w.Node != "" {
		r.asks++
		r.asked = w.Node
		if p, ok := r.message.(*cluster.Publish); ok && !p.IsAgain && p.Term != w.Term {
			in := *p // what was sent before does not change
			in.Term = w.Term
			r.message = &in
		}
		f.send(w.Node, r.message)
	}
}

// askAgain asks a new owner what has no answer, in the order of the requests. What is not safe to
// ask twice has an answer now: it may have happened.
func (f *Follower) askAgain(p cluster.Partition) {
	for _, id := range slices.Clone(f.order) {
		r := f.requests[id]
		switch {
		case r == nil || r.partition != p:
		case r.asks > 0 && !r.isSafe:
			f.fail(r, cluster.Uncertain)
		default:
			f.ask(r)
		}
	}
}

// AskAgain asks a node again what it may not have heard, or what its answer may have been lost of: a link has dropped
// messages, or the node has begun another life. An owner in the same life knows what it has answered in its term; one in
// another life does not.
func (f *Follower) AskAgain(of cluster.NodeID, isOtherLife bool) {
	if f.isIsolated() {
		return // what another owner may have carried out waits
	}
	for p := range f.pauses {
		if f.owners[p].Node == "" {
			f.pauses[p] = pause{} // what is missing may be of the successor: the node asks and reports as after a take-over
		}
	}
	for _, id := range slices.Clone(f.order) {
		r := f.requests[id]
		if r == nil || r.asks == 0 || r.asked != of && f.owners[r.partition].Node != of {
			continue
		}
		if p, ok := r.message.(*cluster.Publish); ok && !r.isSafe {
			if isOtherLife || f.owners[r.partition].Node != of {
				f.fail(r, cluster.Uncertain)
				continue
			}
			again := *p
			again.IsAgain = true
			r.message = &again
		}
		f.ask(r)
	}
}

// ReportAgain tells a node all that this one has in the partitions that it owns: a link has dropped messages.
func (f *Follower) ReportAgain(to cluster.NodeID) {
	for p, w := range f.owners {
		switch isFormer := slices.Contains(f.formers[p], to); {
		case w.Node == to, w.Node != "" && isFormer:
			f.report(w)
		case isFormer:
			f.pauses[p] = pause{} // it reports to the next owner
		}
	}
}

// answer ends a request with the owner's message.
func (f *Follower) answer(r *request, m cluster.Message) {
	delete(f.requests, r.id)
	switch {
	case r.keyed != nil:
		f.publishedPart(r, m.(*cluster.Published).Outcomes)
	case !r.isOwn:
		f.out.Add(cluster.Answer{Request: r.id, Message: m})
	}
}

// fail ends a request without one.
func (f *Follower) fail(r *request, result cluster.Result) {
	delete(f.requests, r.id)
	switch {
	case r.keyed != nil:
		f.failKeyed(r, result)
	case r.joining != nil:
		f.failPattern(r, result)
	case !r.isOwn:
		f.out.Add(cluster.Answer{Request: r.id, Result: result})
	}
}

// expire ends a request whose time is over. What the follower itself needs it asks for again.
func (f *Follower) expire(now time.Duration, r *request) {
	switch {
	case r.isOwn:
		delete(f.requests, r.id)
		f.retryReplay(now, r)
	case r.asks > 0:
		f.fail(r, cluster.Uncertain)
	default:
		f.fail(r, cluster.Unavailable)
	}
}

// published takes the answer to a Publish. An owner that gives up does not know; the next one does. What an owner has
// refused counts only if no later owner was asked.
func (f *Follower) published(m *cluster.Published) {
	r := f.requests[m.Request]
	if r == nil {
		return
	}
	isDone := !slices.ContainsFunc(m.Outcomes, func(o cluster.Outcome) bool { return o.Result != cluster.Done })
	isUncertain := slices.ContainsFunc(m.Outcomes, func(o cluster.Outcome) bool { return o.Result == cluster.Uncertain })
	if !isDone && r.isSafe {
		if isUncertain || m.Term != f.owners[r.partition].Term {
			return
		}
		if r.asks--; r.asks > 0 {
			return // it was asked more than once, and the other may be carried out
		}
	}
	f.answer(r, m)
}

// moved takes the answer of a node that has not carried a request out and never will.
func (f *Follower) moved(from cluster.NodeID, m *cluster.Moved) {
	r := f.requests[m.Request]
	if r == nil || r.asked != from {
		return
	}
	if p, ok := r.message.(*cluster.Publish); ok && p.IsAgain {
		f.fail(r, cluster.Uncertain) // the owner that was asked first may have carried it out
		return
	}
	r.asks--
	if w := &f.owners[r.partition]; w.Node == from {
		w.Node = "" // until a later term is heard of
		return
	}
	f.ask(r)
}

// forgetJoin ends the request of a Join whose subscription has ended. A later Join of the same connection goes on.
func (f *Follower) forgetJoin(l *cluster.Leave) {
	for _, id := range f.order {
		r := f.requests[id]
		if r == nil {
			continue
		}
		if j, ok := r.message.(*cluster.Join); ok && j.Subscriber == l.Subscriber && j.Version < l.Version && *j.Topic == l.Topic {
			delete(f.requests, id)
			return
		}
	}
}
