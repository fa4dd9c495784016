package logtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/log"
)

func sameEntries(c *cluster) {
	c.start()
	a, b := c.topic("a"), c.topic("b")
	for range 40 {
		a.publish()
		b.publish()
	}
	c.agree(a, b)
	id, m, tenure := c.owner()
	if node, term, isKnown := m.Owner(); tenure.Valid() && (node != id || term != tenure.Term || !isKnown) {
		c.t.Errorf("the owner is %q in term %d (%v), its tenure is of %s in term %d", node, term, isKnown, id, tenure.Term)
	}
}

// tenuresOfOthers appends with tenures that are not the node's present one. Nothing of it is stored.
func tenuresOfOthers(c *cluster) {
	c.start()
	a := c.topic("a")
	a.publish()
	id, m, tenure := c.owner()
	refused := func(what string, m Member, t *log.Tenure) {
		c.t.Helper()
		if _, err := m.Append(c.t.Context(), t, []log.Record{a.next()}); !errors.Is(err, log.ErrFenced) || errors.Is(err, log.ErrUncertain) {
			c.t.Errorf("%s: %v, want ErrFenced", what, err)
		}
	}
	refused("no owner", m, nil)
	refused("a tenure that the log has not made", m, log.NewTenure(tenure.Term, id, nil))
	refused("a later term that nothing has begun", m, log.NewTenure(tenure.Term+1, id, nil))
	for _, other := range c.others(id) {
		refused("the owner's tenure on another node", c.member(other), tenure)
	}
	if err := m.HandOver(c.t.Context(), "stranger"); !errors.Is(err, log.ErrNoNode) {
		c.t.Errorf("HandOver to a stranger: %v, want ErrNoNode", err)
	}
	a.publish()
	c.agree(a)
}

// handTo hands the log over until a node owns it: what is given may be lost.
func (c *cluster) handTo(to log.NodeID) *log.Tenure {
	c.t.Helper()
	for {
		id, m, tenure := c.owner()
		if id == to {
			return tenure
		}
		if err := m.HandOver(c.t.Context(), to); err != nil {
			c.t.Fatalf("HandOver: %v", err)
		}
		if tenure.Valid() {
			c.t.Errorf("the tenure of %s is valid after its hand-over", id)
		}
	}
}

func handOver(c *cluster) {
	c.start()
	a := c.topic("a")
	for i := range 6 {
		a.publish()
		id, m, tenure := c.owner()
		others := c.others(id)
		next := c.handTo(others[i%len(others)])
		if next.Term <= tenure.Term || next.Node == tenure.Node {
			c.t.Errorf("term %d of %s follows term %d of %s", next.Term, next.Node, tenure.Term, tenure.Node)
		}
		if _, err := m.Append(c.t.Context(), tenure, []log.Record{a.next()}); !errors.Is(err, log.ErrFenced) || errors.Is(err, log.ErrUncertain) {
			c.t.Errorf("the former owner: %v, want ErrFenced", err)
		}
	}
	a.publish()
	c.agree(a)
}

// load has publishers publish until each has so many and stop is closed.
func (c *cluster) load(publishers, atLeast int, stop <-chan struct{}) (topics []*topicOf, wait func()) {
	var running sync.WaitGroup
	for i := range publishers {
		t := c.topic(fmt.Sprint("topic-", i))
		topics = append(topics, t)
		running.Go(func() {
			for isOver := false; !isOver || len(t.stored) < atLeast; {
				t.publish()
				select {
				case <-stop:
					isOver = true
				default:
				}
			}
		})
	}
	return topics, running.Wait
}

func handOversUnderLoad(c *cluster) {
	c.start()
	stop := make(chan struct{})
	topics, wait := c.load(4, 10, stop)
	for i := range 9 {
		c.handTo(c.Nodes[i%len(c.Nodes)])
	}
	close(stop)
	wait()
	c.agree(topics...)
}

// cutOff cuts the owner off: its tenure is over before another node has one, and what it appends then is settled by what is stored
// after it.
func cutOff(c *cluster) {
	c.start()
	a, b := c.topic("a"), c.topic("b")
	for range 3 {
		a.publish()
		id, m, tenure := c.owner()
		c.Cut(id, true)
		_, changed := m.Tenure()
		r := b.next()
		outcome := make(chan error, 1)
		go func() {
			_, err := m.Append(c.t.Context(), tenure, []log.Record{r})
			outcome <- err
		}()
		_, _, next := c.owner(c.others(id)...)
		if tenure.Valid() || next.Term <= tenure.Term {
			c.t.Errorf("term %d of %s goes on, valid: %v, beside term %d of %s", tenure.Term, id, tenure.Valid(), next.Term, next.Node)
		}
		<-changed
		a.publish()
		c.Cut(id, false)
		err := <-outcome
		if err == nil || errors.Is(err, log.ErrUncertain) {
			if isStored := b.isStored(r.Publication.MessageID); isStored {
				b.stored = append(b.stored, r.Publication.MessageID)
			} else if err == nil {
				c.t.Errorf("%s is acknowledged and not stored", r.Publication.MessageID)
			}
		} else {
			b.refused(err)
		}
		c.agree(a, b)
	}
}

func killed(c *cluster) {
	c.start()
	stop := make(chan struct{})
	topics, wait := c.load(3, 10, stop)
	for range 4 {
		id, _, tenure := c.owner()
		c.kill(id)
		_, _, next := c.owner()
		if next.Term <= tenure.Term {
			c.t.Errorf("term %d follows term %d", next.Term, tenure.Term)
		}
		c.start(id)
	}
	close(stop)
	wait()
	c.agree(topics...)
}

// standsStill makes the owner stand still: its tenure is over before another node has one, though nothing has told it so.
func standsStill(c *cluster) {
	if c.Pause == nil {
		c.t.Skip("nodes of this log cannot stand still")
	}
	c.start()
	a := c.topic("a")
	for range 5 {
		a.publish()
		id, m, tenure := c.owner()
		_, changed := m.Tenure()
		c.Pause(id, 5*time.Second)
		_, _, next := c.owner(c.others(id)...)
		if tenure.Valid() || next.Term <= tenure.Term {
			c.t.Errorf("term %d of %s goes on, valid: %v, beside term %d of %s", tenure.Term, id, tenure.Valid(), next.Term, next.Node)
		}
		a.publish()
		<-changed
		if _, err := m.Append(c.t.Context(), tenure, []log.Record{a.next()}); !errors.Is(err, log.ErrFenced) {
			c.t.Errorf("the owner that stood still: %v, want ErrFenced", err)
		}
		c.agree(a)
	}
}

// emptyNode starts a node when nothing of the beginning is kept: what it has applied comes from a copy.
func emptyNode(c *cluster) {
	last := c.Nodes[len(c.Nodes)-1]
	c.start(c.others(last)...)
	a := c.topic("a")
	for range 30 {
		a.publish()
	}
	c.agree(a)
	for _, id := range c.others(last) {
		c.trimAll(c.member(id))
	}
	for range 5 {
		a.publish()
	}
	c.start(last)
	c.agree(a)
	m := c.member(last)
	if err := m.Read(c.t.Context(), 1, func(log.Index, log.Term, []log.Record) error { return nil }); !errors.Is(err, log.ErrTrimmed) {
		c.t.Errorf("the entries that no node keeps are read: %v, want ErrTrimmed", err)
	}
	c.handTo(last)
	a.publish()
	c.agree(a)
	c.kill(last)
	c.start(last)
	c.agree(a)
}

// trimAll trims all that a node has applied.
func (c *cluster) trimAll(m Member) {
	c.t.Helper()
	last, _ := m.Committed()
	if err := errors.Join(m.Fold(c.t.Context()), m.Trim(c.t.Context(), last+1)); err != nil {
		c.t.Errorf("Trim: %v", err)
	}
}

func trimOwn(c *cluster) {
	c.start()
	a := c.topic("a")
	for range 10 {
		a.publish()
	}
	_, m, _ := c.owner()
	last, _ := m.Committed()
	if err := m.Trim(c.t.Context(), last+1); !errors.Is(err, log.ErrNotFolded) {
		c.t.Errorf("what is not in the fold is trimmed: %v", err)
	}
	c.trimAll(m)
	if err := m.Read(c.t.Context(), last, func(log.Index, log.Term, []log.Record) error { return nil }); !errors.Is(err, log.ErrTrimmed) {
		c.t.Errorf("Read of what was trimmed: %v, want ErrTrimmed", err)
	}
	a.publish()
	c.agree(a)
}

// randomFaults kills, cuts, trims and hands over under load, with a majority that can go on.
func randomFaults(c *cluster) {
	c.start()
	stop := make(chan struct{})
	topics, wait := c.load(4, 20, stop)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is to be repeatable
	for range 40 {
		id := c.Nodes[r.IntN(len(c.Nodes))]
		switch r.IntN(4) {
		case 0:
			c.kill(id)
			c.owner()
			c.start(id)
		case 1:
			c.Cut(id, true)
			c.owner(c.others(id)...)
			c.Cut(id, false)
		case 2:
			c.trimAll(c.member(id))
		default:
			c.handTo(id)
		}
	}
	close(stop)
	wait()
	c.agree(topics...)
}
