package model

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Audience is the truth about who is subscribed: the connections of every topic as their own nodes have them. Presence,
// Told and Counts compare with it.
type Audience struct {
	// Keep is how long past numbers of subscriptions are kept for Counts.
	Keep time.Duration

	nodes  *Nodes
	crowds map[protocol.Topic]*crowd
}

// crowd is the audience of one topic.
type crowd struct {
	topic   protocol.Topic
	conns   []conn
	users   map[string]*traces // of members; the empty user stands for all connections
	tallies []*tally           // by node
}

// conn is one subscription.
type conn struct {
	node   cluster.NodeID
	socket protocol.SocketID
	user   string
	since  time.Duration // when the join was answered; never before
}

// traces is what is remembered of a user in a topic.
type traces struct {
	ended       time.Duration // when a connection last ended; -1: never
	wasOrphaned time.Duration // when a connection last ended with its node, or on a node out of contact; -1: never
	last        []ending      // by node
}

// ending is the end of the last connection on a node.
type ending struct {
	node cluster.NodeID
	at   time.Duration
}

// tally is how many subscriptions a node has had in a topic.
type tally struct {
	node    cluster.NodeID
	samples []sample // the last is true now
}

// sample is a number of subscriptions from a moment on. Joins that were not answered yet are in most only.
type sample struct {
	at          time.Duration
	least, most int
}

// subject is a member of a topic, or a topic with any subscription: then the user is empty.
type subject struct {
	topic protocol.Topic
	user  string
}

// NewAudience makes an audience without connections.
func NewAudience(nodes *Nodes) *Audience {
	return &Audience{Keep: 20 * time.Second, nodes: nodes, crowds: map[protocol.Topic]*crowd{}}
}

func (a *Audience) crowd(t protocol.Topic) *crowd {
	c := a.crowds[t]
	if c == nil {
		c = &crowd{topic: t, users: map[string]*traces{}}
		a.crowds[t] = c
	}
	return c
}

// ObserveAsk notes that a connection of a node asks to join. The user is empty where a topic has no members.
func (a *Audience) ObserveAsk(now time.Duration, node cluster.NodeID, t protocol.Topic, socket protocol.SocketID, user string) {
	c := a.crowd(t)
	c.conns = append(c.conns, conn{node, socket, user, never})
	c.trace(user)
	c.trace("")
	a.count(now, c, node, 0, 1)
}

// ObserveJoined notes that the join was answered.
func (a *Audience) ObserveJoined(now time.Duration, node cluster.NodeID, t protocol.Topic, socket protocol.SocketID) {
	c := a.crowd(t)
	if i := c.find(node, socket); i >= 0 && c.conns[i].since == never {
		c.conns[i].since = now
		a.count(now, c, node, 1, 0)
	}
}

// ObserveLeft notes that a connection has left, or that its join was refused or given up.
func (a *Audience) ObserveLeft(now time.Duration, node cluster.NodeID, t protocol.Topic, socket protocol.SocketID) {
	c := a.crowd(t)
	if i := c.find(node, socket); i >= 0 {
		a.end(now, c, i)
	}
}

// kill ends all connections of a node that has died, and returns the members that it had, in order.
func (a *Audience) kill(now time.Duration, node cluster.NodeID) []subject {
	var gone []subject
	for _, t := range sortedTopics(a.crowds) {
		c := a.crowds[t]
		for i, x := range slices.Backward(c.conns) {
			if x.node != node {
				continue
			}
			if x.user != "" {
				gone = append(gone, subject{t, x.user})
			}
			a.end(now, c, i)
		}
	}
	return gone
}

func (a *Audience) end(now time.Duration, c *crowd, i int) {
	was := c.conns[i]
	c.conns = slices.Delete(c.conns, i, i+1)
	isOrphan := !a.nodes.isInContact(was.node, now)
	c.trace(was.user).end(ending{was.node, now}, isOrphan)
	c.trace("").end(ending{was.node, now}, isOrphan)
	least := 0
	if was.since != never {
		least = -1
	}
	a.count(now, c, was.node, least, -1)
}

func (c *crowd) find(node cluster.NodeID, socket protocol.SocketID) int {
	return slices.IndexFunc(c.conns, func(x conn) bool { return x.node == node && x.socket == socket })
}

func (c *crowd) trace(user string) *traces {
	u := c.users[user]
	if u == nil {
		u = &traces{ended: -1, wasOrphaned: -1}
		c.users[user] = u
	}
	return u
}

func (u *traces) end(e ending, isOrphan bool) {
	if u.ended = e.at; isOrphan {
		u.wasOrphaned = e.at
	}
	u.last = append(slices.DeleteFunc(u.last, func(x ending) bool { return x.node == e.node }), e)
}

// mayBeUnheard reports whether a connection of a subject has ended since a moment in such a way that no owner may have heard of
// it: with its node, on a node out of contact, or on a node that has lost contact since.
func (a *Audience) mayBeUnheard(s subject, since time.Duration) bool {
	c := a.crowds[s.topic]
	if c == nil || c.users[s.user] == nil {
		return false
	}
	u := c.users[s.user]
	return u.wasOrphaned >= since || slices.ContainsFunc(u.last, func(e ending) bool {
		return e.at >= since && !a.nodes.isInContact(e.node, e.at)
	})
}

// count changes the tally of a node. It keeps the sample that was true at the beginning of Keep.
func (a *Audience) count(now time.Duration, c *crowd, node cluster.NodeID, least, most int) {
	i := slices.IndexFunc(c.tallies, func(t *tally) bool { return t.node == node })
	if i < 0 {
		i = len(c.tallies)
		c.tallies = append(c.tallies, &tally{node, []sample{{}}})
	}
	t := c.tallies[i]
	last := t.samples[len(t.samples)-1]
	t.samples = append(t.samples, sample{now, last.least + least, last.most + most})
	old := 0
	for old+1 < len(t.samples) && t.samples[old+1].at <= now-a.Keep {
		old++
	}
	t.samples = t.samples[old:]
}

// of lists the connections of a subject.
func (a *Audience) of(s subject) []conn {
	c := a.crowds[s.topic]
	if c == nil {
		return nil
	}
	if s.user == "" {
		return c.conns
	}
	var its []conn
	for _, x := range c.conns {
		if x.user == s.user {
			its = append(its, x)
		}
	}
	return its
}

// steady finds a connection of a subject that has been joined, on a node in contact, since a moment.
func (a *Audience) steady(s subject, since time.Duration) (conn, bool) {
	for _, x := range a.of(s) {
		if x.since <= since && a.nodes.isInContact(x.node, since) {
			return x, true
		}
	}
	return conn{}, false
}

// users lists the members of a topic, sorted: those who are there for certain, and all who may be.
func (a *Audience) users(t protocol.Topic) (least, most []string) {
	c := a.crowds[t]
	if c == nil {
		return nil, nil
	}
	for _, x := range c.conns {
		if x.user == "" {
			continue
		}
		if most = append(most, x.user); x.since != never {
			least = append(least, x.user)
		}
	}
	return sortedSet(least), sortedSet(most)
}

func sortedSet(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// sortedTopics lists the keys of a table in order.
func sortedTopics[V any](table map[protocol.Topic]V) []protocol.Topic {
	ts := make([]protocol.Topic, 0, len(table))
	for t := range table {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, compareTopics)
	return ts
}

func compareTopics(a, b protocol.Topic) int {
	if c := strings.Compare(a.App, b.App); c != 0 {
		return c
	}
	if c := int(a.Kind) - int(b.Kind); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}
