package admission_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/admission"
)

// gate is a gate whose owner is the test.
type gate struct {
	*admission.Gate
	t    *testing.T
	now  time.Duration
	out  *cluster.Output
	said []string
}

// newGate makes a gate that has renewed its contact at one second.
func newGate(t *testing.T) *gate {
	g := &gate{t: t, out: new(cluster.Output), now: time.Second}
	limit := func(app string) int { return map[string]int{"small": 2}[app] }
	g.Gate = admission.New(g.out, admission.Options{Partitions: 1, Limit: limit, Rate: limit})
	g.do(func() {})
	g.expect("renews with state 0")
	return g
}

// do gives the gate an input.
func (g *gate) do(input func()) {
	input()
	g.Follow(g.now, []cluster.Ownership{{Node: "o", Term: 1}})
	for _, e := range g.out.Take() {
		switch e := e.(type) {
		case cluster.Admitted:
			g.said = append(g.said, fmt.Sprintf("%d: verdict %d by %d", e.Admission, e.Verdict, e.State))
		case cluster.Install:
			g.said = append(g.said, fmt.Sprintf("installs %d to %d", len(e.Documents), e.Number))
		case cluster.Send:
			g.sent(e.Message)
		}
	}
}

func (g *gate) sent(m cluster.Message) {
	switch m := m.(type) {
	case *cluster.Renew:
		g.said = append(g.said, fmt.Sprintf("renews with state %d", m.State))
	case *cluster.Fetch:
		g.said = append(g.said, fmt.Sprintf("fetches after %d", m.After))
	}
}

// receive takes a message of the owner.
func (g *gate) receive(m cluster.Message) {
	g.do(func() { g.Receive(g.now, "o", m) })
}

func (g *gate) renewed(sent time.Duration, state uint64) {
	g.receive(&cluster.Renewed{Term: 1, Sent: sent, State: state})
}

func (g *gate) state(after, number uint64) {
	m := &cluster.State{Term: 1, After: after, Number: number}
	for n := after + 1; n <= number; n++ {
		m.Documents = append(m.Documents, cluster.Document{App: "app", Number: n})
	}
	g.receive(m)
}

func (g *gate) admit(app string) { g.do(func() { g.Admit(g.now, app) }) }

func (g *gate) expect(want ...string) {
	g.t.Helper()
	if diff := cmp.Diff(want, g.said); diff != "" {
		g.t.Errorf("(-want +got):\n%s", diff)
	}
	g.said = nil
}

func TestAContactCountsFromItsRenewal(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.admit("app")
	g.now = 1400 * time.Millisecond
	g.renewed(time.Second, 0)
	g.expect("1: verdict 0 by 0")
	g.now = 2500*time.Millisecond - 1
	g.admit("app")
	g.expect("2: verdict 0 by 0", "renews with state 0")
	g.now++
	g.admit("app")
	g.expect()
	g.renewed(time.Second, 0) // it comes twice
	g.expect()
	g.renewed(2500*time.Millisecond-1, 0)
	g.expect("3: verdict 0 by 0")
}

func TestANodeThatIsBehindFetchesBeforeItAdmits(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.renewed(time.Second, 5)
	g.admit("app")
	g.expect("fetches after 0")
	g.state(0, 3) // the first piece
	g.expect("installs 3 to 3", "fetches after 3", "renews with state 3")
	g.state(3, 5)
	g.expect("installs 2 to 5", "1: verdict 0 by 5", "renews with state 5")
	g.state(0, 3) // late
	g.expect()
	g.state(6, 7) // one before it was lost
	g.admit("app")
	g.expect("fetches after 5")
	g.state(4, 7) // some of it is known
	g.expect("installs 2 to 7", "2: verdict 0 by 7", "renews with state 7")
}

func TestAConnectionDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.admit("app")
	g.do(func() { g.Admit(g.now, "app"); g.Cancel("app", 2) })
	g.now = 6*time.Second - 1
	g.do(func() { g.Tick(g.now) })
	g.expect("renews with state 0")
	g.now++
	g.do(func() { g.Tick(g.now) })
	g.expect("1: verdict 2 by 0")
}

func TestAnIsolatedNodeAdmitsByItself(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.renewed(time.Second, 1)
	g.state(0, 1)
	g.now = 10 * time.Second
	g.admit("small")
	g.said = nil
	g.do(func() { g.Isolate(g.now, true) })
	g.expect("1: verdict 0 by 1")
	g.admit("small")
	g.admit("small")
	g.expect("2: verdict 0 by 1", "3: verdict 1 by 0")
	g.now += time.Minute
	g.admit("app")
	g.expect("renews with state 1")
	g.do(func() { g.Isolate(g.now, false) })
	g.renewed(g.now, 2)
	g.expect("fetches after 1")
	g.state(1, 2)
	g.expect("installs 1 to 2", "4: verdict 0 by 2", "renews with state 2")
}
