package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/log"
)

// Member is the log of one node, of several that share it.
type Member interface {
	log.Log
	// Page and Stream show what the node has applied, at least all that Committed says when they are called.
	log.History
	// Fold brings all that the node has applied into its fold.
	Fold(ctx context.Context) error
}

// Cluster is several nodes that share a log. Its functions are safe for concurrent use.
type Cluster struct {
	// Nodes are three nodes or more, in no order. None has started, and a majority can own the log.
	Nodes []log.NodeID
	// Start starts the process of a node with what its disk has: nothing at first.
	Start func(id log.NodeID) Member
	// Kill ends the process of a node at once. A call that waits returns with log.ErrUncertain or log.ErrClosed.
	Kill func(id log.NodeID)
	// Pause makes the process of a node stand still for some time while its clock goes on; nil if it cannot.
	Pause func(id log.NodeID, d time.Duration)
	// Cut loses all that is sent from and to a node, until it is called with false.
	Cut func(id log.NodeID, isCut bool)
}

// RunCluster runs the suite of logs that several nodes share. with calls a function with a cluster in which nothing is stored. The
// log may refuse appends and end tenures at any time.
func RunCluster(t *testing.T, with func(t *testing.T, use func(t *testing.T, c Cluster))) {
	for name, test := range map[string]func(c *cluster){
		"all nodes have the same entries":       sameEntries,
		"tenures of others are refused":         tenuresOfOthers,
		"a hand-over ends the tenure first":     handOver,
		"hand-overs under load":                 handOversUnderLoad,
		"an owner that is cut off":              cutOff,
		"an owner that is killed":               killed,
		"an owner that stands still":            standsStill,
		"an empty node takes a copy":            emptyNode,
		"a node trims what its fold has":        trimOwn,
		"random faults lose and repeat nothing": randomFaults,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with(t, func(t *testing.T, h Cluster) {
				c := &cluster{Cluster: h, t: t, members: map[log.NodeID]Member{}}
				test(c)
			})
		})
	}
}

// cluster is a cluster as the tests use it.
type cluster struct {
	Cluster
	t *testing.T

	mu      sync.Mutex
	members map[log.NodeID]Member // guarded by mu: those whose processes live
}

// start starts nodes, all if none is named.
func (c *cluster) start(ids ...log.NodeID) {
	if len(ids) == 0 {
		ids = c.Nodes
	}
	for _, id := range ids {
		m := c.Start(id)
		c.mu.Lock()
		c.members[id] = m
		c.mu.Unlock()
	}
}

func (c *cluster) kill(id log.NodeID) {
	c.mu.Lock()
	delete(c.members, id)
	c.mu.Unlock()
	c.Kill(id)
}

// member is the log of a node, nil while its process does not live.
func (c *cluster) member(id log.NodeID) Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[id]
}

// until waits until something is so.
func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	const pause, patience = 5 * time.Millisecond, 4 * time.Minute
	waiting := time.NewTimer(patience)
	defer waiting.Stop()
	for !is() {
		select {
		case <-waiting.C:
			c.t.Fatalf("in %v it has not come that %s", patience, what)
		case <-time.After(pause):
		}
	}
}

// owner waits for a node with a valid tenure, of those that are named or of all.
func (c *cluster) owner(ids ...log.NodeID) (id log.NodeID, m Member, tenure *log.Tenure) {
	c.t.Helper()
	if len(ids) == 0 {
		ids = c.Nodes
	}
	c.until(fmt.Sprintf("one of %v owns the log", ids), func() bool {
		for _, id = range ids {
			if m = c.member(id); m == nil {
				continue
			}
			if tenure, _ = m.Tenure(); tenure != nil && tenure.Valid() {
				return true
			}
		}
		return false
	})
	return id, m, tenure
}

// topicOf is what one publisher publishes. It has one append under way at a time.
type topicOf struct {
	*cluster
	name   string
	stored []string // message ids, by serial, as far as they are known to be stored
	tries  int
	asides int
}

func (c *cluster) topic(name string) *topicOf { return &topicOf{cluster: c, name: name} }

// next makes the next publication, with an id of its own for each try.
func (p *topicOf) next() log.Record {
	p.tries++
	r := publication(p.name, "s", uint64(len(p.stored))+1)
	r.Publication.MessageID = fmt.Sprintf("%s-%d", r.Publication.MessageID, p.tries)
	return r
}

// publish stores one more publication, whatever goes wrong.
func (p *topicOf) publish() {
	for isStored := false; !isStored; {
		_, m, tenure := p.owner()
		isStored = p.try(m, tenure)
	}
}

// try appends the next publication and reports whether it is stored.
func (p *topicOf) try(m Member, tenure *log.Tenure) (isStored bool) {
	r := p.next()
	_, err := m.Append(p.t.Context(), tenure, []log.Record{r})
	switch {
	case err == nil:
		isStored = true
	case errors.Is(err, log.ErrUncertain):
		isStored = p.isStored(r.Publication.MessageID)
	default:
		p.refused(err)
	}
	if isStored {
		p.stored = append(p.stored, r.Publication.MessageID)
	}
	return isStored
}

// refused wants an error after which nothing is stored and which may come at any time.
func (p *topicOf) refused(err error) {
	for _, expected := range []error{log.ErrFenced, log.ErrNotStored, log.ErrFull, log.ErrClosed} {
		if errors.Is(err, expected) {
			return
		}
	}
	p.t.Fatalf("%s: Append: %v", p.name, err)
}

// isStored settles an append whose outcome is not known: what is stored after it says whether it is.
func (p *topicOf) isStored(id string) bool {
	for {
		p.asides++
		aside := publication(fmt.Sprint(p.name, "-aside-", p.asides), "s", 1)
		_, m, tenure := p.owner()
		if _, err := m.Append(p.t.Context(), tenure, []log.Record{aside}); err != nil {
			continue
		}
		all := p.pageOf(m)
		return len(all) > len(p.stored) && all[len(all)-1] == id
	}
}

// pageOf lists the message ids of a topic as a node has them.
func (p *topicOf) pageOf(m Member) (ids []string) {
	page, err := m.Page(p.t.Context(), topic(p.name), log.Query{Limit: 100_000, MaxBytes: 1 << 30})
	if err != nil {
		p.t.Errorf("Page: %v", err)
	}
	for i := range page.Publications {
		ids = append(ids, page.Publications[i].MessageID)
	}
	return ids
}

// agree waits until all nodes that live have applied the same, and wants each topic to have what is known to be stored, once and
// in order, on each of them.
func (c *cluster) agree(topics ...*topicOf) {
	c.t.Helper()
	mark := c.topic("mark")
	for _, t := range topics {
		if t.name == mark.name {
			mark = t
		}
	}
	mark.publish()
	index, _ := func() (log.Index, <-chan struct{}) { _, m, _ := c.owner(); return m.Committed() }()
	var first map[log.Index]string
	for _, id := range c.Nodes {
		m := c.member(id)
		if m == nil {
			continue
		}
		c.until(fmt.Sprintf("%s has entry %d", id, index), func() bool {
			last, _ := m.Committed()
			return last >= index
		})
		for _, t := range topics {
			same(c.t, fmt.Sprintf("%s: what is stored of %s", id, t.name), t.stored, t.pageOf(m))
		}
		all := c.entries(m, index)
		if first == nil {
			first = all
		}
		for i, text := range all {
			if other, isKept := first[i]; isKept && other != text {
				c.t.Errorf("entry %d is %q on %s, and %q on another node", i, text, id, other)
			}
		}
	}
}

// entries are the entries that a node keeps, up to an index, as their term and the ids in them.
func (c *cluster) entries(m Member, last log.Index) map[log.Index]string {
	c.t.Helper()
	all, next, term := map[log.Index]string{}, log.Index(1), log.Term(0)
	for next <= last {
		err := m.Read(c.t.Context(), next, func(i log.Index, of log.Term, records []log.Record) error {
			if i != next {
				c.t.Errorf("entry %d is read where %d should be", i, next)
			}
			next = i + 1
			if len(records) == 0 {
				return nil // the log's own, or it was refused
			}
			if of < term {
				c.t.Errorf("entry %d of term %d follows one of term %d", i, of, term)
			}
			term = of
			var ids []string
			for _, r := range records {
				ids = append(ids, r.Publication.MessageID)
			}
			all[i] = fmt.Sprint(of, ids)
			return nil
		})
		switch {
		case errors.Is(err, log.ErrTrimmed) && len(all) == 0:
			next++
		case err != nil:
			c.t.Fatalf("Read from %d: %v", next, err)
		}
	}
	return all
}

// others are all nodes but one.
func (c *cluster) others(id log.NodeID) []log.NodeID {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(other log.NodeID) bool { return other == id })
}
