package model

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Presence checks who is shown as a member of a topic: on each node, by the lists and edges that its connections get, and
// at the owner.
type Presence struct {
	report

	// Settled is how long a member must have been there, on a node in contact, so that no owner can take it as gone.
	Settled time.Duration
	// Ghost is how long a member whose node is known to be dead may still be shown.
	Ghost time.Duration

	nodes    *Nodes
	audience *Audience
	shown    map[protocol.Topic][]*replica
	dead     map[cluster.NodeID][]subject // members of nodes that are not known to be dead
	ghosts   []ghost                      // of nodes that are, the oldest first
}

// replica is the members of a topic as the connections of a node have been told.
type replica struct {
	node  cluster.NodeID
	users map[string]bool
}

type ghost struct {
	subject
	node  cluster.NodeID
	since time.Duration
}

// NewPresence makes the presence of an audience.
func NewPresence(nodes *Nodes, audience *Audience) *Presence {
	return &Presence{
		report: report{name: "presence"}, Settled: 3500 * time.Millisecond, Ghost: 3500 * time.Millisecond,
		nodes: nodes, audience: audience, shown: map[protocol.Topic][]*replica{}, dead: map[cluster.NodeID][]subject{},
	}
}

func (p *Presence) find(node cluster.NodeID, t protocol.Topic) *replica {
	for _, r := range p.shown[t] {
		if r.node == node {
			return r
		}
	}
	return nil
}

// ObserveDecided notes that the owner of a topic has decided that a user has come or is gone.
func (p *Presence) ObserveDecided(now time.Duration, t protocol.Topic, user string, isAdded bool) {
	p.expire(now)
	s := subject{t, user}
	if isAdded {
		if c := p.audience.crowds[t]; c == nil || c.users[user] == nil {
			p.violated(now, "%s is added to %q, and never asked to join", user, t.Name)
		}
		return
	}
	if x, ok := p.audience.steady(s, now-p.Settled); ok {
		p.violated(now, "%s is removed from %q, but is there on %s since %s", user, t.Name, x.node, x.since)
	}
}

// ObserveMembers notes the list of members that an answer to a join on a node has. A list for whose position the node has
// still to receive something, as History.IsBehind tells, is not observed.
func (p *Presence) ObserveMembers(now time.Duration, node cluster.NodeID, t protocol.Topic, users []string) {
	p.expire(now)
	list := sortedSet(users)
	if len(list) != len(users) {
		p.violated(now, "%s has a list of the members of %q with a user twice: %v", node, t.Name, users)
	}
	r := p.find(node, t)
	if r != nil {
		if told := r.list(); !slices.Equal(told, list) {
			p.violated(now, "%s has %v as the members of %q, but was told %v", node, list, t.Name, told)
		}
	} else {
		r = &replica{node: node}
		p.shown[t] = append(p.shown[t], r)
		p.checkList(now, node, t, list)
	}
	r.users = map[string]bool{}
	for _, u := range list {
		r.users[u] = true
	}
}

// checkList checks that a first list leaves out no member.
func (p *Presence) checkList(now time.Duration, node cluster.NodeID, t protocol.Topic, list []string) {
	if !p.isTimely(now, node) {
		return
	}
	least, _ := p.audience.users(t)
	for _, u := range least {
		if x, ok := p.audience.steady(subject{t, u}, now-p.Settled); ok && !slices.Contains(list, u) {
			p.violated(now, "%s has %v as the members of %q without %s, who is there on %s since %s", node, list, t.Name, u, x.node, x.since)
		}
	}
}

// ObserveEdge notes that a node tells its connections that a user has come or is gone.
func (p *Presence) ObserveEdge(now time.Duration, node cluster.NodeID, t protocol.Topic, user string, isAdded bool) {
	p.expire(now)
	r := p.find(node, t)
	if r == nil {
		return // its connections have no list yet
	}
	if r.users[user] == isAdded {
		word := map[bool]string{true: "added to", false: "removed from"}[isAdded]
		p.violated(now, "%s tells that %s is %s %q, as it has told before", node, user, word, t.Name)
	}
	if isAdded {
		r.users[user] = true
		return
	}
	delete(r.users, user)
	if !p.isTimely(now, node) {
		return
	}
	if x, ok := p.audience.steady(subject{t, user}, now-p.Settled); ok {
		p.violated(now, "%s tells that %s is gone from %q, who is there on %s since %s", node, user, t.Name, x.node, x.since)
	}
}

// isTimely reports whether what a node tells now was decided not long ago.
func (p *Presence) isTimely(now time.Duration, node cluster.NodeID) bool {
	return p.nodes.isCalm(now, p.Settled) && p.nodes.isInContact(node, now-p.Settled)
}

// ObserveForgotten notes that the connections of a node have to read the members of a topic again, or that there are none:
// after a loss, the last leave, or the end of the node's isolation.
func (p *Presence) ObserveForgotten(now time.Duration, node cluster.NodeID, t protocol.Topic) {
	p.expire(now)
	p.shown[t] = slices.DeleteFunc(p.shown[t], func(r *replica) bool { return r.node == node })
}

// kill notes that a node has died with its members.
func (p *Presence) kill(now time.Duration, node cluster.NodeID, members []subject) {
	p.expire(now)
	for t, rs := range p.shown {
		p.shown[t] = slices.DeleteFunc(rs, func(r *replica) bool { return r.node == node })
	}
	p.dead[node] = append(p.dead[node], members...)
}

// ObserveDead notes that the owner has learned that a node has died.
func (p *Presence) ObserveDead(now time.Duration, node cluster.NodeID) {
	p.expire(now)
	for _, s := range p.dead[node] {
		p.ghosts = append(p.ghosts, ghost{s, node, now})
	}
	delete(p.dead, node)
}

// expire looks for ghosts whose time is over. What is observed now does not count yet.
func (p *Presence) expire(now time.Duration) {
	for len(p.ghosts) > 0 && now-p.ghosts[0].since > p.Ghost && p.nodes.isCalm(now, p.Ghost) {
		g := p.ghosts[0]
		p.ghosts = p.ghosts[1:]
		if len(p.audience.of(g.subject)) > 0 || p.audience.crowds[g.topic].users[g.user].ended > g.since {
			continue // the user has come back; perhaps only just gone again
		}
		for _, r := range p.shown[g.topic] {
			if r.users[g.user] && p.nodes.isInContact(r.node, now-p.Ghost) {
				p.violated(now, "%s still shows %s in %q, who was on %s, known as dead since %s", r.node, g.user, g.topic.Name, g.node, g.since)
			}
		}
	}
}

func (r *replica) list() []string {
	list := make([]string, 0, len(r.users))
	for u := range r.users {
		list = append(list, u)
	}
	slices.Sort(list)
	return list
}

// CheckQuiet checks that the owner and all nodes have the members that there are. Members lists those that the owner of a
// topic has.
func (p *Presence) CheckQuiet(now time.Duration, members func(protocol.Topic) []string) {
	p.expire(now)
	for _, t := range sortedTopics(p.audience.crowds) {
		least, most := p.audience.users(t)
		if members != nil {
			if list := sortedSet(members(t)); !isBetween(list, least, most) {
				p.violated(now, "the owner has %v as the members of %q, who are %v", list, t.Name, least)
			}
		}
		for _, r := range p.shown[t] {
			if list := r.list(); !isBetween(list, least, most) {
				p.violated(now, "%s shows %v as the members of %q, who are %v", r.node, list, t.Name, least)
			}
		}
	}
}

// isBetween reports whether a sorted list has all of one and nothing beyond another.
func isBetween(list, least, most []string) bool {
	for _, u := range least {
		if _, ok := slices.BinarySearch(list, u); !ok {
			return false
		}
	}
	for _, u := range list {
		if _, ok := slices.BinarySearch(most, u); !ok {
			return false
		}
	}
	return true
}
