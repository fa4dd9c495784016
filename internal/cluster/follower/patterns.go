package follower

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/glob"
	"github.com/millrace/millrace/internal/protocol"
)

// maxPatterns is how many patterns of one app a node has.
const maxPatterns = 1000

// joining is a subscription with a pattern, which the owner of each partition has to answer.
type joining struct {
	id         cluster.RequestID // as its caller knows it
	pattern    cluster.Pattern
	subscriber protocol.SocketID
	waiting    int
}

// JoinPattern asks the owners of all partitions for what is published to the channels that a pattern matches. An Answer with a
// PatternJoined ends the request: publications come with a ReceiveMatching from then on, and a LostMatching tells that some may
// not have come. A node that has the topic too gets them for its own subscribers besides. Busy: the app has 1,000 patterns here.
func (f *Follower) JoinPattern(now time.Duration, p cluster.Pattern, part cluster.Part, subscriber protocol.SocketID) cluster.RequestID {
	of := f.patterns[p.App]
	if of == nil {
		of = new(glob.Index[cluster.Part])
		f.patterns[p.App] = of
	}
	known, isKnown := of.Get(p.Text)
	if !isKnown && of.Len() >= maxPatterns {
		f.last++
		f.out.Add(cluster.Answer{Request: f.last, Result: cluster.Busy})
		return f.last
	}
	if part.Version > known.Version {
		of.Put(p.Text, part)
	}
	j := &joining{pattern: p, subscriber: subscriber, waiting: len(f.owners)}
	for i := range f.owners {
		r := f.add(now, cluster.Partition(i)) //nolint:gosec // few
		if i == 0 {
			j.id = r.id
		}
		r.isSafe, r.joining = true, j
		r.message = &cluster.JoinPattern{Request: r.id, Partition: r.partition, Pattern: p, Part: part}
		f.ask(r)
	}
	return j.id
}

// LeavePattern ends a subscription, whether its JoinPattern was answered or not.
func (f *Follower) LeavePattern(_ time.Duration, p cluster.Pattern, part cluster.Part, subscriber protocol.SocketID) {
	f.forget(func(j *joining) bool { return j.pattern == p && j.subscriber == subscriber })
	of := f.patterns[p.App]
	if of == nil {
		return
	}
	if known, ok := of.Get(p.Text); !ok || part.Version <= known.Version {
		return
	}
	of.Put(p.Text, part)
	if part.Subscriptions == 0 {
		of.Delete(p.Text)
	}
	for i, w := range f.owners {
		m := &cluster.LeavePattern{Partition: cluster.Partition(i), Pattern: p, Part: part} //nolint:gosec // few
		if w.Node != "" {
			f.send(w.Node, m)
		} else if x := &f.pauses[i]; x.term != 0 {
			x.leaves = append(x.leaves, m)
		}
	}
}

// forget ends the requests of joins.
func (f *Follower) forget(is func(*joining) bool) {
	for _, id := range f.order {
		if r := f.requests[id]; r != nil && r.joining != nil && is(r.joining) {
			delete(f.requests, id)
		}
	}
}

// patternJoined takes the answer of one partition.
func (f *Follower) patternJoined(from cluster.NodeID, m *cluster.PatternJoined) {
	r := f.requests[m.Request]
	if r == nil || !f.believes(from, m.Partition, m.Term) {
		return
	}
	delete(f.requests, r.id)
	if r.joining.waiting--; r.joining.waiting == 0 {
		f.out.Add(cluster.Answer{Request: r.joining.id, Message: m})
	}
}

// failPattern ends a join of which one partition has no answer.
func (f *Follower) failPattern(r *request, result cluster.Result) {
	f.forget(func(j *joining) bool { return j == r.joining })
	f.out.Add(cluster.Answer{Request: r.joining.id, Result: result})
}

// match hands on what was published to a channel to the subscribers with patterns: events only, since who comes and
// goes means nothing without the members.
func (f *Follower) match(m *cluster.Deliver) {
	of := f.patterns[m.Topic.App]
	if of == nil || m.Topic.Kind != protocol.TopicChannel {
		return
	}
	var texts []string
	of.Match(m.Topic.Name, func(text string, _ cluster.Part) { texts = append(texts, text) })
	if len(texts) == 0 {
		return
	}
	ps := m.Publications
	isOther := func(p *cluster.Publication) bool { return p.Kind != protocol.KindEvent }
	if slices.ContainsFunc(ps, isOther) {
		ps = slices.DeleteFunc(slices.Clone(ps), isOther)
	}
	if len(ps) > 0 {
		f.out.Add(cluster.ReceiveMatching{Patterns: texts, Topic: m.Topic, Publications: ps})
	}
}

// losePatterns tells of a loss to the patterns that match any of some topics, or to all.
func (f *Follower) losePatterns(topics []protocol.Topic, isAll bool) {
	for _, r := range f.reportPatterns() {
		if isAll || slices.ContainsFunc(topics, func(t protocol.Topic) bool {
			return t.Kind == protocol.TopicChannel && t.App == r.Pattern.App && glob.Match(r.Pattern.Text, t.Name)
		}) {
			f.out.Add(cluster.LostMatching{Pattern: r.Pattern})
		}
	}
}

// reportPatterns lists the patterns of this node, in order.
func (f *Follower) reportPatterns() (list []cluster.PatternReport) {
	for _, app := range slices.Sorted(maps.Keys(f.patterns)) {
		f.patterns[app].All(func(text string, part cluster.Part) {
			list = append(list, cluster.PatternReport{Pattern: cluster.Pattern{App: app, Text: text}, Part: part})
		})
	}
	return list
}
