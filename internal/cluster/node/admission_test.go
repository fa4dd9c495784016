package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// limitOf is how many connections an app may have.
func limitOf(app string) int { return map[string]int{"small": 6}[app] }

// admission carries out what concerns connections.
func (s *site) admission(id cluster.NodeID, e cluster.Effect) {
	switch e := e.(type) {
	case cluster.Admitted:
		verdict := [...]string{"admits", "is over the limit of", "is not ready for"}[e.Verdict]
		line := fmt.Sprintf("%s %s %s", id, verdict, e.App)
		if e.State > 0 {
			line += fmt.Sprintf(" by %d", e.State)
		}
		s.said = append(s.said, line)
	case cluster.Install:
		for _, d := range e.Documents {
			s.said = append(s.said, fmt.Sprintf("%s has %d: %s is %s", id, d.Number, d.App, d.Body))
		}
	case cluster.Obey:
		s.said = append(s.said, fmt.Sprintf("%s terminates %s", id, e.Order.Name))
		s.nodes[id].Carried(s.now, e, nil)
	case cluster.Ordered:
		s.said = append(s.said, fmt.Sprintf("%s: %d nodes have, missing %v", id, len(e.Results), e.Missing))
	}
}

func (s *site) admit(id cluster.NodeID, app string) {
	s.nodes[id].Admit(s.now, app)
	s.settle()
}

func (s *site) change(id cluster.NodeID, app, change, body string) {
	s.nodes[id].Change(s.now, app, change, []byte(body))
	s.settle()
}

// cut loses what comes from and goes to a node, or ends that.
func (s *site) cut(id cluster.NodeID, is bool) {
	if s.isCut == nil {
		s.isCut = make(map[cluster.NodeID]bool)
	}
	s.isCut[id] = is
}

func TestNodesAdmitUpToTheLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.admit("a", "small")
		s.admit("b", "small")
	}
	s.expect("a admits small", "b admits small", "a admits small", "b admits small", "a admits small", "b admits small")
	s.admit("c", "small")
	s.expect("c is over the limit of small")
	s.nodes["a"].Release(s.now, "small")
	s.wait(250 * time.Millisecond)
	s.admit("c", "small")
	s.expect("c admits small")
	s.admit("c", "boundless")
	s.expect("c admits boundless")
}

func TestANewOwnerKnowsWhatIsLent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.admit("b", "small")
		s.admit("c", "small")
	}
	s.said = nil
	s.elect("b")
	s.admit("a", "small")
	s.expect("a is over the limit of small")
}

func TestWhatADeadNodeHadIsLent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 6 {
		s.admit("c", "small")
	}
	s.said = nil
	s.kill("c")
	s.admit("b", "small")
	s.wait(time.Second) // c is called back
	s.expect("b is over the limit of small")
	s.wait(2 * time.Second)
	s.admit("b", "small")
	s.expect("b admits small")
}

func TestANodeWithoutContactAdmitsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admit("c", "small")
	s.expect("c admits small")
	s.isDeaf = map[cluster.NodeID]bool{"c": true} // of the links only: its log knows an owner
	s.wait(time.Second)
	s.admit("c", "small")
	s.expect("c admits small") // it was lent before
	s.wait(time.Second)
	s.admit("c", "boundless")
	s.wait(6 * time.Second)
	s.expect("c is not ready for boundless")
	s.isDeaf = nil
	s.wait(time.Second)
	s.admit("c", "boundless")
	s.expect("c admits boundless")
}

func TestAChangeIsAnsweredWhenNodesHaveIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.change("b", "app", "x", "new")
	s.expect("b has 1: app is new", "c has 1: app is new", "a has 1: app is new", "b has answer 1 changed 1, missing []")
	s.change("c", "app", "x", "new") // asked again elsewhere
	s.expect("c has answer 1 changed 1, missing []")
	s.admit("c", "app")
	s.expect("c admits app by 1")
}

func TestAChangeWaitsForANodeThatIsCut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cut("c", true)
	s.change("b", "app", "x", "new")
	s.expect("b has 1: app is new", "a has 1: app is new")
	s.wait(2 * time.Second)
	s.expect() // c may still admit connections by the former state
	s.wait(time.Second)
	s.expect("b has answer 1 changed 1, missing []") // it is dead
	s.cut("c", false)
	s.wait(time.Second)
	s.admit("c", "app")
	s.expect("c has 1: app is new", "c admits app by 1")
}

func TestAChangeNamesNodesThatDoNotHaveIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.isDeaf = map[cluster.NodeID]bool{"c": true} // it is heard, and hears nothing
	s.change("b", "app", "x", "new")
	s.said = nil
	s.wait(4 * time.Second)
	s.expect()
	s.wait(2 * time.Second)
	s.expect("b has answer 1 changed 1, missing [c]")
	s.admit("c", "app")
	s.expect()
	s.isDeaf = nil
	s.wait(time.Second)
	s.expect("c has 1: app is new", "c admits app by 1")
}

func TestANewOwnerGoesOnWithTheNumbers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.change("b", "app", "x", "new")
	s.said = nil
	s.elect("c")
	s.change("b", "app", "y", "newer")
	s.expect("a has 2: app is newer", "b has 2: app is newer", "c has 2: app is newer", "b has answer 2 changed 2, missing []")
	s.kill("a")
	s.boot("a", 2)
	s.wait(time.Second)
	s.expect("a has 2: app is newer")
}

func TestARateGoesWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if got := s.nodes["c"].Share("app"); got != 30 {
		t.Errorf("c begins with %d, want 30", got)
	}
	for range 4 {
		s.nodes["c"].Ask("app", 100)
		s.wait(time.Second)
	}
	if got := s.nodes["c"].Share("app"); got != 84 {
		t.Errorf("c has %d and is the only one that asks, want 84 of 90", got)
	}
}

func TestAllNodesCarryAnOrderOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	give := func() {
		s.nodes["b"].Give(s.now, cluster.Order{Kind: cluster.TerminateUser, App: "app", Name: "u"}, time.Second)
		s.settle()
	}
	give()
	s.expect("b terminates u", "c terminates u", "a terminates u", "b: 3 nodes have, missing []")
	s.cut("c", true)
	give()
	s.wait(2 * time.Second)
	s.expect("b terminates u", "a terminates u", "b: 2 nodes have, missing [c]")
}
