package model

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Causes of edges that end what a node has not ended itself, because it has died.
const (
	OrphanCleanup = "orphan_cleanup" // an owner has found it out at the beginning of its term
	NodeDied      = "node_died"      // an owner has taken the node for dead
)

// Edge is what a webhook tells: that something has come or is gone.
type Edge struct {
	ID      string // a second telling has the same
	Topic   protocol.Topic
	User    string         // of a member; empty: the channel is occupied or vacated, the user of the topic online or offline
	IsOn    bool           // added, occupied, online
	Node    cluster.NodeID // of what comes: where it was first; empty: not known
	Cause   string
	Decided time.Duration // by the owner
}

// Told checks the edges that backends are told.
type Told struct {
	report

	// Settled is as in Presence.
	Settled time.Duration
	// Wants tells of which topics backends are told. Nil: of all but the watches of users.
	Wants func(protocol.Topic) bool

	nodes    *Nodes
	audience *Audience
	state    map[subject]*toldState
	edges    map[string]Edge
}

// toldState is what backends believe of one subject.
type toldState struct {
	isOn bool
	node cluster.NodeID
	at   time.Duration // the decision of it
}

// NewTold makes what was told of an audience: nothing.
func NewTold(nodes *Nodes, audience *Audience) *Told {
	return &Told{
		report: report{name: "told"}, Settled: 3500 * time.Millisecond,
		nodes: nodes, audience: audience, state: map[subject]*toldState{}, edges: map[string]Edge{},
	}
}

func (o *Told) wants(t protocol.Topic) bool {
	if o.Wants != nil {
		return o.Wants(t)
	}
	return t.Kind == protocol.TopicChannel || t.Kind == protocol.TopicUser
}

// ObserveTold notes that a backend is told an edge.
func (o *Told) ObserveTold(now time.Duration, e Edge) {
	if before, ok := o.edges[e.ID]; ok {
		if before.Topic != e.Topic || before.User != e.User || before.IsOn != e.IsOn {
			o.violated(now, "the id %s is of two edges: %s and %s", e.ID, before.words(), e.words())
		}
		return
	}
	o.edges[e.ID] = e
	s := subject{e.Topic, e.User}
	st := o.state[s]
	if st == nil {
		st = &toldState{}
		o.state[s] = st
	}
	if st.isOn == e.IsOn {
		o.violated(now, "%s is told by %s, as it was before", e.words(), e.ID)
	}
	switch c := o.audience.crowds[e.Topic]; {
	case e.IsOn && isOfDeath(e.Cause):
		o.violated(now, "%s is told with the cause %s", e.words(), e.Cause)
	case e.IsOn && (c == nil || c.users[e.User] == nil):
		o.violated(now, "%s is told, and never was so", e.words())
	case !e.IsOn:
		o.checkGone(now, s, e, st.at)
	}
	st.isOn, st.at, st.node = e.IsOn, e.Decided, e.Node
}

func isOfDeath(cause string) bool { return cause == OrphanCleanup || cause == NodeDied }

// checkGone checks an edge that ends something that was told at a moment.
func (o *Told) checkGone(now time.Duration, s subject, e Edge, since time.Duration) {
	if x, ok := o.audience.steady(s, e.Decided-o.Settled); ok {
		o.violated(now, "%s is told, but it is there on %s since %s", e.words(), x.node, x.since)
		return
	}
	if isOfDeath(e.Cause) && !o.isOrphan(s, e, since) {
		o.violated(now, "%s is told with the cause %s, but no node of it has died", e.words(), e.Cause)
	}
}

// isOrphan reports whether the owner can have taken a node of the subject for dead since a moment.
func (o *Told) isOrphan(s subject, e Edge, since time.Duration) bool {
	if st := o.state[s]; st.node != "" && o.nodes.hasEndedLife(st.node, since-o.Settled) { // the owner may not have known yet
		return true
	}
	if o.audience.mayBeUnheard(s, since-o.Settled) { // it may have ended while its coming was decided
		return true
	}
	return slices.ContainsFunc(o.audience.of(s), func(x conn) bool { return !o.nodes.isInContact(x.node, e.Decided-o.Settled) })
}

func (e *Edge) words() string {
	word := map[bool]string{true: "comes", false: "goes"}[e.IsOn]
	if e.User == "" {
		return e.Topic.Kind.String() + " " + e.Topic.Name + " " + word
	}
	return e.User + " of " + e.Topic.Name + " " + word
}

// CheckQuiet checks that backends believe what is true.
func (o *Told) CheckQuiet(now time.Duration) {
	subjects := make([]subject, 0, len(o.state))
	for s := range o.state {
		subjects = append(subjects, s)
	}
	for _, t := range sortedTopics(o.audience.crowds) {
		for user := range o.audience.crowds[t].users {
			if s := (subject{t, user}); o.state[s] == nil && o.wants(t) {
				subjects = append(subjects, s)
			}
		}
	}
	slices.SortFunc(subjects, func(a, b subject) int {
		if c := compareTopics(a.topic, b.topic); c != 0 {
			return c
		}
		return strings.Compare(a.user, b.user)
	})
	for _, s := range subjects {
		isOn := o.state[s] != nil && o.state[s].isOn
		there := o.audience.of(s)
		isCertain := slices.ContainsFunc(there, func(x conn) bool { return x.since != never })
		if e := (Edge{Topic: s.topic, User: s.user, IsOn: isCertain}); isCertain && !isOn || isOn && len(there) == 0 {
			o.violated(now, "%s was not told", e.words())
		}
	}
}
