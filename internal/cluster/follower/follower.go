package follower

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/glob"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Options of a follower. IsLogged is required; zero fields mean the default.
type Options struct {
	Partitions int           // default 1
	Timeout    time.Duration // how long a request waits; default 10 s
	// IsLogged is what the settings of an app say about a topic: its publications are in the log.
	IsLogged func(*protocol.Topic) bool
	Faults   cluster.Faults // of the simulator's tests; default none
}

func (o Options) withDefaults() Options {
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	return o
}

// Follower is one node's. Its methods are called by one goroutine at a time, with times that do
// not go back.
type Follower struct {
	o   Options
	out *cluster.Output

	owners   []cluster.Ownership // by partition
	pauses   []pause             // by partition
	others   []cluster.Ownership // that are known while the node is isolated; nil while it is not
	formers  [][]cluster.NodeID  // by partition: owners that have handed over since the node has reported
	topics   map[protocol.Topic]*followed
	patterns map[string]*glob.Index[cluster.Part] // by app
	last     cluster.RequestID
	requests map[cluster.RequestID]*request
	order    []cluster.RequestID // of requests, as they were made; answered ones are skipped
}

// New makes the follower of a node. What it wants done goes to out.
func New(out *cluster.Output, o Options) *Follower {
	o = o.withDefaults()
	f := &Follower{
		o: o, out: out, owners: make([]cluster.Ownership, o.Partitions),
		pauses: make([]pause, o.Partitions), formers: make([][]cluster.NodeID, o.Partitions),
		topics: make(map[protocol.Topic]*followed), patterns: make(map[string]*glob.Index[cluster.Part]), requests: make(map[cluster.RequestID]*request),
	}
	for i := range f.owners {
		f.owners[i].Partition = cluster.Partition(i) //nolint:gosec // few
	}
	return f
}

// Owners are the owners that the node knows of.
func (f *Follower) Owners() []cluster.Ownership {
	if f.isIsolated() {
		return f.others
	}
	return f.owners
}

// partition is the partition of a topic.
func (f *Follower) partition(t *protocol.Topic) cluster.Partition {
	return cluster.PartitionOf(t, f.o.Partitions)
}

// Owned tells of an owner. A later term than the known one begins: the node reports, and asks the
// new owner what the former one has not answered, unless the former one has handed all of that over. So it does when it
// hears of an owner again that had sent it away, since that answer was of an earlier term of the same node.
func (f *Follower) Owned(w cluster.Ownership) {
	if f.isIsolated() {
		f.ownedElse(w)
		return
	}
	known := &f.owners[w.Partition]
	isAgain := w.Term == known.Term && known.Node == "" && w.Node != "" && f.pauses[w.Partition].term != w.Term
	if w.Term <= known.Term && !isAgain {
		return
	}
	paused := f.pauses[w.Partition]
	f.pauses[w.Partition] = pause{}
	*known = w
	if w.After != 0 && w.After == paused.term {
		f.goOn(w, paused.leaves)
		return
	}
	f.report(w)
	f.askAgain(w.Partition)
}

// Reborn begins another life of the node: owners have forgotten what it had.
func (f *Follower) Reborn() {
	for p, w := range f.owners {
		f.pauses[p] = pause{}
		if w.Node != "" {
			f.report(w)
			f.askAgain(w.Partition)
		}
	}
}

// believes reports whether what an owner says in a term counts. The node learns of a term from its owner too.
func (f *Follower) believes(from cluster.NodeID, p cluster.Partition, term log.Term) bool {
	f.Owned(cluster.Ownership{Partition: p, Node: from, Term: term})
	known := f.owners[p]
	return known.Term == term && known.Node == from
}

// Receive takes a message of an owner.
func (f *Follower) Receive(now time.Duration, from cluster.NodeID, m cluster.Message) {
	switch m := m.(type) {
	case *cluster.Deliver:
		if f.believes(from, m.Partition, m.Term) {
			f.deliver(now, m)
		}
	case *cluster.Stands:
		if f.believes(from, m.Partition, m.Term) {
			f.stands(now, m)
		}
	case *cluster.Published:
		f.published(m)
	case *cluster.Claimed:
		f.claimed(now, m)
	case *cluster.Joined:
		f.joined(now, from, m)
	case *cluster.Replayed:
		f.replayed(now, from, m)
	case *cluster.Members:
		if f.believes(from, m.Partition, m.Term) {
			f.compareMembers(now, m)
		}
	case *cluster.PatternJoined:
		f.patternJoined(from, m)
	case *cluster.Missed:
		if f.believes(from, m.Partition, m.Term) {
			f.losePatterns(nil, true)
		}
	case *cluster.Stopped:
		f.stopped(from, m)
	case *cluster.AskReport:
		f.askReport(from, m)
	case *cluster.Moved:
		f.moved(from, m)
	case *cluster.Mutated:
		f.mutated(m)
	case *cluster.Changed:
		if r := f.requests[m.Request]; r != nil {
			f.answer(r, m)
		}
	}
}

// Publish asks the owner of a partition for publications, all of that partition. An Answer with a Published ends the request.
func (f *Follower) Publish(now time.Duration, items []cluster.Item) cluster.RequestID {
	p := f.partition(&items[0].Topic)
	r := f.add(now, p)
	r.isSafe = true
	for i := range items {
		r.isSafe = r.isSafe && items[i].Publication.MessageID != "" && f.o.IsLogged(&items[i].Topic)
	}
	r.message = &cluster.Publish{Request: r.id, Partition: p, Items: items}
	f.ask(r)
	return r.id
}

// Join asks the owner for a subscription. An Answer with a Joined ends the request.
func (f *Follower) Join(now time.Duration, j cluster.Join) cluster.RequestID {
	t := f.topics[*j.Topic]
	if t == nil {
		t = &followed{topic: j.Topic}
		f.topics[*j.Topic] = t
	}
	t.take(j.Part)
	if j.Member != nil {
		t.enter(&j)
	}
	r := f.add(now, f.partition(j.Topic))
	r.isSafe = true
	j.Request, j.WantsMembers = r.id, j.Member != nil && !t.isLive
	r.message = &j
	f.ask(r)
	return r.id
}

// Leave ends a subscription, whether its Join was answered or not.
func (f *Follower) Leave(_ time.Duration, l cluster.Leave) {
	f.forgetJoin(&l)
	t := f.topics[l.Topic]
	if t == nil {
		return
	}
	if t.members != nil {
		t.members.leave(l.Subscriber)
	}
	if t.take(l.Part); t.part.Subscriptions == 0 {
		f.end(t)
	}
	p := f.partition(&l.Topic)
	if w := f.owners[p]; w.Node != "" {
		f.send(w.Node, &l)
	} else if x := &f.pauses[p]; x.term != 0 {
		x.leaves = append(x.leaves, &l)
	}
}

// Replay asks for what was published after a position. Answers with Replayed follow; the last one
// ends the request.
func (f *Follower) Replay(now time.Duration, t protocol.Topic, after cluster.Position) cluster.RequestID {
	return f.askReplay(now, t, after).id
}

// Change asks for another document of an app. An Answer with a Changed ends the request.
func (f *Follower) Change(now time.Duration, c cluster.Change) cluster.RequestID {
	c.Partition = cluster.PartitionOfApp(c.App, f.o.Partitions)
	r := f.add(now, c.Partition)
	r.isSafe = true
	c.Request = r.id
	r.message = &c
	f.ask(r)
	return r.id
}

// Tick ends requests that have waited too long. It is called at the latest at Next.
func (f *Follower) Tick(now time.Duration) {
	for len(f.order) > 0 {
		r := f.requests[f.order[0]]
		if r != nil && now < r.ends {
			return
		}
		f.order = f.order[1:]
		if r != nil {
			f.expire(now, r)
		}
	}
}

// Next is when Tick is to be called; zero: not at all.
func (f *Follower) Next() time.Duration {
	for len(f.order) > 0 {
		if r := f.requests[f.order[0]]; r != nil {
			return r.ends
		}
		f.order = f.order[1:]
	}
	return 0
}

func (f *Follower) send(to cluster.NodeID, m cluster.Message) {
	f.out.Add(cluster.Send{To: to, Message: m})
}
