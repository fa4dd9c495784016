package follower

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// followed is a topic that has subscriptions here.
type followed struct {
	topic    *protocol.Topic
	part     cluster.Part
	isLive   bool // the owner has told a position: what follows it is handed on
	term     log.Term
	position cluster.Position
	replay   cluster.RequestID // that fills a gap; zero: there is none
	members  *members          // of a topic with members
	held     []held
}

// held is the answer to a Join that waits until the node has what the answer promises.
type held struct {
	request *request
	answer  *cluster.Joined
}

// take makes a part known unless it is an old one.
func (t *followed) take(p cluster.Part) {
	if p.Version > t.part.Version {
		t.part = p
	}
}

// end ends the following of a topic.
func (f *Follower) end(t *followed) {
	delete(f.topics, *t.topic)
	if t.replay != 0 {
		delete(f.requests, t.replay)
	}
}

// joined takes the answer to a Join. A topic is live from the first one on.
func (f *Follower) joined(now time.Duration, from cluster.NodeID, m *cluster.Joined) {
	r := f.requests[m.Request]
	if r == nil || !f.believes(from, f.partition(&m.Topic), m.Term) {
		return
	}
	t := f.topics[m.Topic]
	if t == nil || m.Refusal != nil {
		f.answer(r, m)
		return
	}
	isFirst := !t.isLive
	if isFirst {
		t.isLive, t.position, t.term = true, m.Position, m.Term
	} else {
		f.standsAt(now, t, m.Term, m.Position)
	}
	if t.members != nil {
		f.entered(t, r.message.(*cluster.Join), m, isFirst)
	}
	t.held = append(t.held, held{r, m})
	f.release(t)
}

// release answers Joins, at the position at which the node is.
func (f *Follower) release(t *followed) {
	if t.replay != 0 || t.members != nil && t.members.isStale && !f.isIsolated() {
		return
	}
	for _, h := range t.held {
		if f.requests[h.request.id] != h.request {
			continue // it has ended
		}
		m := *h.answer
		m.Position = t.position
		if t.members != nil {
			m.Members = t.members.list()
		}
		f.answer(h.request, &m)
	}
	t.held = nil
}

// deliver hands on what follows the position of a topic.
func (f *Follower) deliver(now time.Duration, m *cluster.Deliver) {
	f.match(m)
	t := f.topics[m.Topic]
	if t == nil || !t.isLive {
		return // the answer to the Join has a position that is not before it
	}
	if t.replay != 0 && !f.o.Faults.Has(cluster.FaultLiveBeforeReplay) {
		return // the last piece of the replay has a position that is not before it
	}
	first := m.Publications[0]
	if first.StreamID == "" {
		f.deliverUnkept(t, m)
		return
	}
	if first.StreamID != t.position.StreamID {
		f.lose(t, cluster.Position{StreamID: first.StreamID, Serial: first.Serial - 1})
	}
	ps := m.Publications
	for len(ps) > 0 && ps[0].Serial <= t.position.Serial {
		ps = ps[1:]
	}
	switch {
	case len(ps) == 0:
	case ps[0].Serial > t.position.Serial+1 && t.replay == 0:
		f.refill(now, t)
	default:
		f.handOn(t, m.Term, ps)
	}
}

// deliverUnkept hands on publications of a topic that keeps nothing: their serials only grow.
func (f *Follower) deliverUnkept(t *followed, m *cluster.Deliver) {
	ps := m.Publications
	for m.Term == t.term && len(ps) > 0 && ps[0].Serial <= t.position.Serial {
		ps = ps[1:]
	}
	if len(ps) > 0 {
		f.handOn(t, m.Term, ps)
	}
}

func (f *Follower) handOn(t *followed, term log.Term, ps []*cluster.Publication) {
	last := ps[len(ps)-1]
	t.term, t.position = term, cluster.Position{StreamID: last.StreamID, Serial: last.Serial}
	var isSilent []bool
	if t.members != nil {
		isSilent = t.members.follow(ps)
	}
	f.out.Add(cluster.Receive{Topic: *t.topic, Term: term, Publications: ps, IsSilent: isSilent})
}

// lose tells that what came up to a position is not handed on. A logged stream in which nothing was published yet
// leaves nothing behind: its identity is drawn again by the next owner.
func (f *Follower) lose(t *followed, to cluster.Position) {
	if t.position.Serial > 0 || to.Serial > 0 || !f.o.IsLogged(t.topic) {
		f.out.Add(cluster.Lost{Topic: *t.topic, From: t.position, To: to})
	}
	t.position = to
	if t.members != nil {
		f.askMembers(t)
	}
}

// stands takes the position at which an owner has a topic, when it has taken the first report of this life in its term. Of
// a topic that keeps nothing, what an owner has sent before may not have come.
func (f *Follower) stands(now time.Duration, m *cluster.Stands) {
	t := f.topics[m.Topic]
	if t == nil || !t.isLive || t.replay != 0 {
		return
	}
	if m.Position.StreamID == "" {
		f.lose(t, m.Position)
		t.term = m.Term
		return
	}
	f.standsAt(now, t, m.Term, m.Position)
}

// standsAt compares a topic with the owner's position: what the node does not have it asks for.
func (f *Follower) standsAt(now time.Duration, t *followed, term log.Term, at cluster.Position) {
	switch {
	case t.replay != 0:
	case at.StreamID == "":
		t.term, t.position = term, at
	case at.StreamID != t.position.StreamID:
		f.lose(t, at)
	case at.Serial > t.position.Serial:
		f.refill(now, t)
	}
}

// Gap tells that messages of a node were lost on the way: the topics in them, or all of its topics.
func (f *Follower) Gap(now time.Duration, from cluster.NodeID, topics []protocol.Topic, isAll bool) {
	isOf := make([]bool, len(f.owners))
	for p, w := range f.owners {
		isOf[p] = w.Node == from || w.Node == "" && f.pauses[p].term != 0 // or it may be the successor
	}
	if slices.Contains(isOf, true) {
		f.losePatterns(topics, isAll)
	}
	var ts []*followed
	for _, t := range f.topics {
		if t.isLive && isOf[f.partition(t.topic)] && (isAll || slices.Contains(topics, *t.topic)) {
			ts = append(ts, t)
		}
	}
	sortTopics(ts)
	for _, t := range ts {
		if t.position.StreamID == "" {
			f.lose(t, t.position)
			continue
		}
		if t.members != nil {
			t.members.isStale = true // a list of members may have been lost too
		}
		if t.replay == 0 {
			f.refill(now, t)
		}
	}
}

// refill asks for what follows the position of a topic.
func (f *Follower) refill(now time.Duration, t *followed) {
	r := f.askReplay(now, *t.topic, t.position)
	r.isOwn = true
	t.replay = r.id
}

func (f *Follower) askReplay(now time.Duration, t protocol.Topic, after cluster.Position) *request {
	r := f.add(now, f.partition(&t))
	r.isSafe = true
	r.message = &cluster.Replay{Request: r.id, Topic: t, After: after}
	f.ask(r)
	return r
}

// retryReplay asks again for what a topic still needs.
func (f *Follower) retryReplay(now time.Duration, r *request) {
	m := r.message.(*cluster.Replay)
	if t := f.topics[m.Topic]; t != nil && t.replay == r.id {
		t.replay = 0
		f.refill(now, t)
	}
}

// replayed takes a piece of a replay, and asks for the next one.
func (f *Follower) replayed(now time.Duration, from cluster.NodeID, m *cluster.Replayed) {
	r := f.requests[m.Request]
	if r == nil || !f.believes(from, f.partition(&m.Topic), m.Term) || r.message.(*cluster.Replay).After != m.After {
		return
	}
	if t := f.topics[m.Topic]; r.isOwn && t != nil && t.replay == r.id {
		f.fill(t, m)
	} else if !r.isOwn {
		f.out.Add(cluster.Answer{Request: r.id, Message: m})
	}
	if m.IsLast {
		delete(f.requests, r.id)
		return
	}
	r.message = &cluster.Replay{Request: r.id, Topic: m.Topic, After: m.Position}
	r.ends = now + f.o.Timeout
	f.ask(r)
}

// fill hands on a piece of the replay that fills a gap.
func (f *Follower) fill(t *followed, m *cluster.Replayed) {
	ps := m.Publications
	for len(ps) > 0 && ps[0].StreamID == t.position.StreamID && ps[0].Serial <= t.position.Serial {
		ps = ps[1:]
	}
	if len(ps) > 0 {
		f.handOn(t, m.Term, ps)
	}
	if !m.IsLast {
		return
	}
	t.replay, t.term = 0, m.Term
	switch {
	case m.Position != t.position:
		f.lose(t, m.Position)
	case t.members != nil && t.members.isStale:
		f.askMembers(t)
	}
	f.release(t)
}

// reportPiece is how many topics a piece of a report has, and how many patterns.
const reportPiece = 256

// report tells a new owner what the node has in its partition.
func (f *Follower) report(w cluster.Ownership) {
	ts, ps := slices.DeleteFunc(f.sorted(w.Partition), func(t *followed) bool { return !f.isReported(t.topic) }), f.reportPatterns()
	f.formers[w.Partition] = nil
	if f.o.Faults.Has(cluster.FaultPatternsForgotten) {
		ps = nil
	}
	for {
		n, k := min(len(ts), reportPiece), min(len(ps), reportPiece)
		m := &cluster.Report{Partition: w.Partition, Term: w.Term, Patterns: ps[:k:k], IsLast: n == len(ts) && k == len(ps)}
		for _, t := range ts[:n] {
			r := cluster.TopicReport{Topic: t.topic, Part: t.part, Position: t.position}
			if t.members != nil {
				r.Members = t.members.report()
			}
			m.Topics = append(m.Topics, r)
		}
		f.send(w.Node, m)
		if ts, ps = ts[n:], ps[k:]; m.IsLast {
			return
		}
	}
}

// sorted are the topics of a partition, in order.
func (f *Follower) sorted(p cluster.Partition) (ts []*followed) {
	for _, t := range f.topics {
		if f.partition(t.topic) == p {
			ts = append(ts, t)
		}
	}
	sortTopics(ts)
	return ts
}

func sortTopics(ts []*followed) {
	slices.SortFunc(ts, func(a, b *followed) int { return a.topic.Compare(b.topic) })
}
