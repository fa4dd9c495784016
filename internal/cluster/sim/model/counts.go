package model

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Counts checks the numbers of subscriptions that are told of topics.
type Counts struct {
	report

	// Window is how old the number of a node may be within the number of a topic.
	Window time.Duration

	nodes    *Nodes
	audience *Audience
}

// NewCounts makes the counts of an audience.
func NewCounts(nodes *Nodes, audience *Audience) *Counts {
	return &Counts{report: report{name: "counts"}, Window: 5 * time.Second, nodes: nodes, audience: audience}
}

// ObserveCount notes a number of subscriptions that is told of a topic on a node, and the nodes that it names as missing. The
// number may have of each node any value that was true there within the window, and none of a node out of contact.
func (c *Counts) ObserveCount(now time.Duration, node cluster.NodeID, t protocol.Topic, count int, missing ...cluster.NodeID) {
	if !c.nodes.isInContact(node, now-c.Window) {
		return // of its own connections
	}
	least, most := 0, 0
	if crowd := c.audience.crowds[t]; crowd != nil {
		for _, tally := range crowd.tallies {
			low, high := tally.between(now - c.Window)
			if most += high; c.nodes.isInContact(tally.node, now-c.Window) && !slices.Contains(missing, tally.node) {
				least += low
			}
		}
	}
	if count < least || count > most {
		c.violated(now, "%s is told that %q has %d subscriptions, but it has had %d to %d", node, t.Name, count, least, most)
	}
}

// between is the least and the greatest number since a moment.
func (t *tally) between(since time.Duration) (least, most int) {
	last := t.samples[len(t.samples)-1]
	least, most = last.least, last.most
	for i := len(t.samples) - 1; i > 0 && t.samples[i].at > since; i-- {
		least, most = min(least, t.samples[i-1].least), max(most, t.samples[i-1].most)
	}
	return least, most
}

// CheckQuiet checks that the owner of each topic has the number that is true.
func (c *Counts) CheckQuiet(now time.Duration, count func(protocol.Topic) int) {
	for _, t := range sortedTopics(c.audience.crowds) {
		least, most := 0, 0
		for _, tally := range c.audience.crowds[t].tallies {
			last := tally.samples[len(tally.samples)-1]
			least, most = least+last.least, most+last.most
		}
		if n := count(t); n < least || n > most {
			c.violated(now, "the owner has %d subscriptions of %q, and there are %d to %d", n, t.Name, least, most)
		}
	}
}
