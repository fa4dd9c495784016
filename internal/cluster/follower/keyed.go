package follower

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// keyed is a publish with a key on its way. Its first step is the claim of the key, which gives it its ids; the second is one
// Publish for each partition of its items; the last tells the owner of the key how it went. A node that dies on the way leaves the claim
// behind, from which a later try goes on under the same ids.
type keyed struct {
	*cluster.Keyed
	id       cluster.RequestID // as its caller knows it
	number   uint64            // of the claim
	outcomes []cluster.Outcome
	waiting  int // parts that have no answer
}

// PublishOnce publishes a request with a key, unless that has happened already. An Answer with a PublishedOnce ends the request, or
// one with a result: Conflict, Busy, Unavailable or Uncertain. After any but Conflict the same request may be tried again on any node.
func (f *Follower) PublishOnce(now time.Duration, k *cluster.Keyed) cluster.RequestID {
	r := f.add(now, cluster.PartitionOfKey(k.Key, f.o.Partitions))
	r.isSafe = true
	r.keyed = &keyed{Keyed: k, id: r.id, outcomes: make([]cluster.Outcome, len(k.Items))}
	r.message = &cluster.Claim{Request: r.id, Partition: r.partition, Key: k.Key, Digest: k.Digest, Items: len(k.Items), TTL: k.TTL}
	f.ask(r)
	return r.id
}

// claimed takes the answer to a Claim.
func (f *Follower) claimed(now time.Duration, m *cluster.Claimed) {
	r := f.requests[m.Request]
	if r == nil {
		return
	}
	isRefused := m.Result == cluster.Unavailable || m.Result == cluster.Busy
	if isRefused && m.Term != f.owners[r.partition].Term {
		return // another owner was asked
	}
	k := r.keyed
	switch {
	case m.Result != cluster.Done:
		f.fail(r, m.Result)
	case m.Answer != nil:
		delete(f.requests, r.id)
		for i := range k.outcomes {
			k.outcomes[i].Position = m.Answer[i]
		}
		k.number = m.Number
		f.answerKeyed(k)
	case now >= r.ends: // the ids are known for a time that ends
		f.fail(r, cluster.Uncertain)
	default:
		delete(f.requests, r.id)
		k.number = m.Number
		f.publishParts(now, k)
	}
}

// publishParts asks for all items, under the ids that the claim gives them.
func (f *Follower) publishParts(now time.Duration, k *keyed) {
	var parts []cluster.Partition
	of := make(map[cluster.Partition][]int)
	for i := range k.Items {
		p := f.partition(&k.Items[i].Topic)
		if of[p] == nil {
			parts = append(parts, p)
		}
		of[p] = append(of[p], i)
	}
	k.waiting = len(parts)
	for _, p := range parts {
		r := f.add(now, p)
		r.isSafe, r.keyed, r.items = true, k, of[p]
		m := &cluster.Publish{Request: r.id, Partition: p}
		for _, i := range r.items {
			it := k.Items[i]
			published := *it.Publication
			published.MessageID = cluster.KeyedID(k.Key, k.number, i)
			it.Publication, it.KnownFor = &published, k.TTL
			m.Items = append(m.Items, it)
		}
		r.message = m
		f.ask(r)
	}
}

// publishedPart takes the outcomes of one part.
func (f *Follower) publishedPart(r *request, os []cluster.Outcome) {
	k := r.keyed
	for n, i := range r.items {
		k.outcomes[i] = os[n]
	}
	if k.waiting--; k.waiting > 0 {
		return
	}
	if !slices.ContainsFunc(k.outcomes, func(o cluster.Outcome) bool { return o.Result != cluster.Done }) {
		f.settle(k)
	}
	f.answerKeyed(k)
}

// failKeyed ends a step without an answer.
func (f *Follower) failKeyed(r *request, result cluster.Result) {
	if r.items == nil {
		f.out.Add(cluster.Answer{Request: r.keyed.id, Result: result})
		return
	}
	os := make([]cluster.Outcome, len(r.items))
	for i := range os {
		os[i].Result = result
	}
	f.publishedPart(r, os)
}

// settle tells the owner of the key the answer.
func (f *Follower) settle(k *keyed) {
	p := cluster.PartitionOfKey(k.Key, f.o.Partitions)
	m := &cluster.Settle{Partition: p, Key: k.Key, Number: k.number}
	for i := range k.outcomes {
		m.Answer = append(m.Answer, k.outcomes[i].Position)
	}
	if w := f.owners[p]; w.Node != "" {
		f.send(w.Node, m)
	}
}

func (f *Follower) answerKeyed(k *keyed) {
	m := &cluster.PublishedOnce{Outcomes: k.outcomes}
	for i := range k.Items {
		m.IDs = append(m.IDs, cluster.KeyedID(k.Key, k.number, i))
	}
	f.out.Add(cluster.Answer{Request: k.id, Message: m})
}
