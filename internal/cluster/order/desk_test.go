package order_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/order"
)

// office is the desks of three nodes, and what each is told to do.
type office struct {
	t     *testing.T
	desks map[cluster.NodeID]*order.Desk
	outs  map[cluster.NodeID]*cluster.Output
	lives map[cluster.NodeID]cluster.Incarnation
	names []cluster.NodeID
	lost  map[cluster.NodeID]bool // what is sent to them
	idle  map[cluster.NodeID]bool // they carry nothing out
	said  []string
}

func newOffice(t *testing.T) *office {
	o := &office{
		t: t, names: []cluster.NodeID{"a", "b", "c"}, desks: map[cluster.NodeID]*order.Desk{}, outs: map[cluster.NodeID]*cluster.Output{},
		lives: map[cluster.NodeID]cluster.Incarnation{}, lost: map[cluster.NodeID]bool{}, idle: map[cluster.NodeID]bool{},
	}
	for _, id := range o.names {
		o.boot(id)
	}
	return o
}

// boot begins a life of a node.
func (o *office) boot(id cluster.NodeID) {
	o.lives[id]++
	o.outs[id] = new(cluster.Output)
	o.desks[id] = order.New(o.lives[id], o.names, o.outs[id])
}

func (o *office) settle() {
	for again := true; again; {
		again = false
		for _, id := range o.names {
			for _, e := range o.outs[id].Take() {
				again = true
				o.carryOut(id, e)
			}
		}
	}
}

func (o *office) carryOut(id cluster.NodeID, e cluster.Effect) {
	switch e := e.(type) {
	case cluster.Send:
		if !o.lost[e.To] {
			o.desks[e.To].Receive(cluster.Peer{Node: id, Incarnation: o.lives[id]}, e.Message)
		}
	case cluster.Obey:
		o.said = append(o.said, fmt.Sprintf("%s carries out %s %s", id, e.Order.App, e.Order.Name))
		if !o.idle[id] {
			o.desks[id].Carried(e.From, e.Number, []byte(id+"'s"))
		}
	case cluster.Ordered:
		var results []string
		for _, r := range e.Results {
			results = append(results, string(r.Result))
		}
		o.said = append(o.said, fmt.Sprintf("%s has %s, missing %v", id, strings.Join(results, " "), e.Missing))
	}
}

func (o *office) give(id cluster.NodeID) (number uint64) {
	number = o.desks[id].Give(0, cluster.Order{Kind: cluster.TerminateUser, App: "app", Name: "u"}, time.Second)
	o.settle()
	return number
}

func (o *office) expect(want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.said); diff != "" {
		o.t.Errorf("(-want +got):\n%s", diff)
	}
	o.said = nil
}

func TestEveryNodeCarriesAnOrderOut(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.give("b")
	o.expect("c carries out app u", "a carries out app u", "b carries out app u", "b has a's b's c's, missing []")
}

func TestAnOrderNamesWhoHasNotAnswered(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.lost["c"], o.idle["b"] = true, true
	number := o.give("a")
	o.expect("b carries out app u", "a carries out app u")
	if next := o.desks["a"].Next(); next != time.Second {
		t.Errorf("the order ends at %v, want 1s", next)
	}
	o.desks["a"].Tick(time.Second - 1)
	o.settle()
	o.expect()
	o.desks["a"].Tick(time.Second)
	o.settle()
	o.expect("a has a's, missing [b c]")
	o.desks["b"].Carried(cluster.Peer{Node: "a", Incarnation: 1}, number, nil) // late
	o.settle()
	o.expect()
}

func TestAnOrderThatIsRepeatedIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.lost["a"] = true // the answers, not the order
	o.desks["a"].Give(0, cluster.Order{App: "app", Name: "u"}, time.Second)
	o.settle()
	o.expect("b carries out app u", "c carries out app u")
	o.lost["a"] = false
	for _, id := range o.names {
		o.desks["a"].AskAgain(id)
	}
	o.settle()
	o.expect("a carries out app u", "a has a's b's c's, missing []")
}

func TestAnotherLifeOfANodeIsAskedAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.idle["b"] = true
	o.give("a")
	o.expect("b carries out app u", "c carries out app u", "a carries out app u")
	o.boot("b")
	o.idle["b"] = false
	o.desks["a"].AskAgain("b")
	o.settle()
	o.expect("b carries out app u", "a has a's b's c's, missing []")
}

func TestAnAnswerToAFormerLifeOfTheGiverIsNone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.idle["c"] = true
	number := o.give("a")
	o.boot("a")
	o.said = nil
	o.give("a")
	o.desks["a"].Receive(cluster.Peer{Node: "c", Incarnation: 1}, &cluster.Obeyed{Number: number})
	o.settle()
	o.expect("b carries out app u", "c carries out app u", "a carries out app u")
	o.idle["c"] = false
	o.boot("c")
	o.said = nil
	o.desks["a"].AskAgain("c")
	o.settle()
	o.expect("c carries out app u", "a has a's b's c's, missing []")
}

func TestAnotherLifeOfTheGiverIsHeard(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.give("a")
	o.boot("a")
	o.said = nil
	o.give("a")
	o.expect("b carries out app u", "c carries out app u", "a carries out app u", "a has a's b's c's, missing []")
}
