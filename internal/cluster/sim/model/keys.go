package model

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Key names a request of an app that may be tried again.
type Key struct{ App, Key string }

// Try is the number of one try of a request with a key.
type Try int

// Keys checks the requests with an idempotency key.
type Keys struct {
	report

	requests map[Key]*request
	tries    []try
}

// request is all tries of one key.
type request struct {
	key      Key
	digests  []string // that were tried
	digest   string   // of the try that was carried out; empty: not known yet
	ids      []string // of the first answer
	items    []item
	isDouble bool
}

// try is one of the tries.
type try struct {
	request    *request
	digest     string
	isAnswered bool
}

// item is where a publication of a request has appeared; without a place it has not.
type item struct {
	topic protocol.Topic
	at    cluster.Position
	id    string
	nodes []cluster.NodeID // which have received it, of a topic that keeps nothing
}

// NewKeys makes a cluster that knows no key.
func NewKeys() *Keys {
	return &Keys{report: report{name: "keys"}, requests: map[Key]*request{}}
}

// ObserveTry notes a request that a node is asked for. The digest is of its content, and not empty.
func (k *Keys) ObserveTry(key Key, digest string) Try {
	r := k.requests[key]
	if r == nil {
		r = &request{key: key}
		k.requests[key] = r
	}
	if !slices.Contains(r.digests, digest) {
		r.digests = append(r.digests, digest)
	}
	k.tries = append(k.tries, try{request: r, digest: digest})
	return Try(len(k.tries) - 1)
}

// ObserveAnswer notes that a try was answered as done, with the ids of the publications.
func (k *Keys) ObserveAnswer(now time.Duration, t Try, ids []string) {
	r := k.answered(now, t)
	digest := k.tries[t].digest
	if r.digest != "" && r.digest != digest {
		k.violated(now, "%s is answered with the digest %s, and before with %s", r.key.Key, digest, r.digest)
		return
	}
	r.digest = digest
	if r.ids == nil {
		r.ids = slices.Clone(ids)
	} else if !slices.Equal(r.ids, ids) {
		k.violated(now, "%s is answered with the ids %v, and before with %v", r.key.Key, ids, r.ids)
	}
}

// ObserveConflict notes that a try was refused because another content has its key.
func (k *Keys) ObserveConflict(now time.Duration, t Try) {
	r := k.answered(now, t)
	switch digest := k.tries[t].digest; {
	case len(r.digests) == 1:
		k.violated(now, "%s is refused as another request, and every try was this one", r.key.Key)
	case r.digest == digest:
		k.violated(now, "%s is refused as another request with the digest %s, which was answered before", r.key.Key, digest)
	}
}

func (k *Keys) answered(now time.Duration, t Try) *request {
	x := &k.tries[t]
	if x.isAnswered {
		k.violated(now, "%s has two answers to one try", x.request.key.Key)
	}
	x.isAnswered = true
	return x.request
}

// ObservePublished notes that a publication of a request, counted from zero, is in the log of its topic, or was received by a
// node. The simulator finds key and number in its content, not by its id.
func (k *Keys) ObservePublished(now time.Duration, node cluster.NodeID, key Key, number int, t protocol.Topic, at cluster.Position, id string) {
	r := k.requests[key]
	if r == nil {
		k.violated(now, "item %d of %s is published, and was not asked for", number, key.Key)
		return
	}
	for len(r.items) <= number {
		r.items = append(r.items, item{})
	}
	x := &r.items[number]
	keepsNothing := at.StreamID == ""
	switch {
	case x.id == "":
		x.topic, x.at, x.id = t, at, id
	case x.topic != t || x.id != id || !keepsNothing && x.at != at:
		if !r.isDouble {
			r.isDouble = true
			k.violated(now, "item %d of %s is published as %s at %s of %q and as %s at %s of %q",
				number, key.Key, x.id, show(x.at), x.topic.Name, id, show(at), t.Name)
		}
		return
	}
	if keepsNothing {
		if slices.Contains(x.nodes, node) {
			k.violated(now, "%s receives item %d of %s twice", node, number, key.Key)
		}
		x.nodes = append(x.nodes, node)
	}
}

// ObserveExpired notes that the time for which a key is kept is over. A later try is of another request.
func (k *Keys) ObserveExpired(key Key) { delete(k.requests, key) }

// CheckQuiet checks the ids of answers against the publications that have appeared.
func (k *Keys) CheckQuiet(now time.Duration) {
	for _, x := range k.tries {
		r := x.request
		if !x.isAnswered || r.ids == nil || r.isDouble {
			continue
		}
		for i, it := range r.items {
			if it.id != "" && (i >= len(r.ids) || r.ids[i] != it.id) {
				r.isDouble = true
				k.violated(now, "item %d of %s is published as %s, and answered with the ids %v", i, r.key.Key, it.id, r.ids)
				break
			}
		}
	}
}
