package budget_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/budget"
	"github.com/millrace/millrace/internal/log"
)

const app = "app"

// bank is a lender and the borrowers of some nodes, with messages that take no time.
type bank struct {
	t      *testing.T
	limit  int
	term   log.Term
	now    time.Duration
	out    *cluster.Output
	lender *budget.Lender
	names  []cluster.NodeID
	nodes  map[cluster.NodeID]*budget.Borrower
	deaf   map[cluster.NodeID]bool // what is sent to them is lost
	said   []string
}

func newBank(t *testing.T, limit int) *bank {
	b := &bank{
		t: t, limit: limit, names: []cluster.NodeID{"a", "b", "c"}, out: new(cluster.Output),
		nodes: make(map[cluster.NodeID]*budget.Borrower), deaf: make(map[cluster.NodeID]bool),
	}
	for _, id := range b.names {
		b.nodes[id] = budget.NewBorrower(func(string) int { return b.limit })
	}
	b.elect()
	for _, id := range b.names {
		b.tell(id, true)
	}
	return b
}

func every(string) bool { return true }

// elect begins a term, in which no node has told what it has.
func (b *bank) elect() {
	b.term++
	b.lender = budget.NewLender(b.term, b.out, budget.LenderOptions{Nodes: b.names, Limit: func(string) int { return b.limit }})
	b.lender.Tick(b.now)
	for _, n := range b.nodes {
		n.Begin(every)
	}
}

// tell has the lender told what a node has.
func (b *bank) tell(id cluster.NodeID, isWhole bool) {
	b.lender.Renew(b.now, id, b.nodes[id].Loans(every, isWhole), isWhole)
	b.settle()
}

// settle carries messages until there are none.
func (b *bank) settle() {
	for again := true; again; {
		again = false
		for _, e := range b.out.Take() {
			again = true
			s := e.(cluster.Send)
			if !b.deaf[s.To] {
				b.receive(s.To, s.Message)
			}
		}
		for _, id := range b.names {
			if n := b.nodes[id]; n.HasNews(every) && !b.deaf[id] {
				again = true
				b.lender.Renew(b.now, id, n.Loans(every, false), false)
			}
		}
	}
}

func (b *bank) receive(id cluster.NodeID, m cluster.Message) {
	switch m := m.(type) {
	case *cluster.Lend:
		if b.nodes[id].Lend(&m.Loans[0]) {
			b.said = append(b.said, fmt.Sprintf("%s is refused", id))
		}
	case *cluster.CallBack:
		b.said = append(b.said, fmt.Sprintf("%s is called back", id))
		b.nodes[id].CallBack(m.App, m.Number)
	}
}

// take has connections admitted, and asks for more as long as that helps.
func (b *bank) take(id cluster.NodeID, n int) (taken int) {
	for range n {
		if !b.nodes[id].Take(app) {
			b.nodes[id].Ask(app)
			b.settle()
			if !b.nodes[id].Take(app) {
				return taken
			}
		}
		taken++
		b.settle()
	}
	return taken
}

func (b *bank) wait(d time.Duration) {
	b.now += d
	b.lender.Tick(b.now)
	b.settle()
}

func (b *bank) expect(want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.said); diff != "" {
		b.t.Errorf("(-want +got):\n%s", diff)
	}
	b.said = nil
}

func (b *bank) expectTaken(id cluster.NodeID, n, want int) {
	b.t.Helper()
	if got := b.take(id, n); got != want {
		b.t.Errorf("%s takes %d of %d connections in, want %d", id, got, n, want)
	}
}

func TestAShareLeavesSomethingToOthers(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{1: 1, 5: 1, 12: 2, 60: 10, 384: 64, 10_000: 64} {
		b := newBank(t, limit)
		b.expectTaken("a", 1, 1)
		if got := b.nodes["a"].Unused(app) + 1; got < want || got > 2*want {
			t.Errorf("of a limit of %d the first share is %d, want %d, or twice that when it is asked for more ahead", limit, got, want)
		}
	}
}

func TestALenderCallsBackBeforeItRefuses(t *testing.T) {
	t.Parallel()
	b := newBank(t, 10)
	b.expectTaken("b", 2, 2)
	b.expectTaken("a", 20, 8)
	b.expect("b is called back", "b is called back", "a is refused")
	b.nodes["b"].Release(app)
	b.expectTaken("a", 1, 0)
	b.expect("a is refused") // b was called back a moment ago
	b.now += 200 * time.Millisecond
	b.expectTaken("a", 1, 1)
	b.expect("b is called back")
}

func TestALenderDoesNotWaitLong(t *testing.T) {
	t.Parallel()
	b := newBank(t, 10)
	b.expectTaken("b", 2, 2)
	b.deaf["b"] = true
	taken := b.take("a", 10)
	b.expect()
	b.wait(199 * time.Millisecond)
	b.expect()
	b.wait(time.Millisecond)
	b.expect("a is refused")
	if lent := b.lender.Lent(app); lent != 10 || taken > 8 {
		t.Errorf("%d are lent, and a has taken %d", lent, taken)
	}
	b.lender.Gone(b.now, "b")
	delete(b.deaf, "b")
	b.expectTaken("a", 10, 10-taken)
}

func TestANewLenderWaitsForAllNodes(t *testing.T) {
	t.Parallel()
	b := newBank(t, 10)
	b.expectTaken("b", 4, 4)
	b.expectTaken("c", 4, 4)
	b.elect()
	b.tell("a", true)
	b.tell("c", true)
	b.expectTaken("a", 1, 0)
	b.tell("b", true)
	b.said = nil
	b.expectTaken("a", 5, 2)
}

func TestANewLenderWaitsUntilANodeThatIsGoneCanDoNothing(t *testing.T) {
	t.Parallel()
	b := newBank(t, 10)
	b.expectTaken("b", 4, 4)
	b.elect()
	b.tell("a", true)
	b.tell("c", true)
	b.lender.Gone(b.now, "b")
	b.expectTaken("a", 1, 0)
	b.wait(1999 * time.Millisecond)
	b.expectTaken("a", 1, 0)
	b.wait(time.Millisecond)
	b.expectTaken("a", 10, 10)
}

func TestALoanThatIsLostIsNotLentTwice(t *testing.T) {
	t.Parallel()
	b := newBank(t, 12)
	b.deaf["a"] = true
	b.nodes["a"].Ask(app)
	b.lender.Renew(b.now, "a", b.nodes["a"].Loans(every, false), false)
	b.settle()
	lent := b.lender.Lent(app)
	if b.take("a", 1) != 0 || lent == 0 {
		t.Fatalf("a has got what was lost, or nothing was lent: %d", lent)
	}
	delete(b.deaf, "a")
	b.tell("a", false)
	if got := b.lender.Lent(app); got != lent || b.nodes["a"].Unused(app) != lent {
		t.Errorf("%d are lent and a has %d, want %d", got, b.nodes["a"].Unused(app), lent)
	}
}

func TestAReturnThatCrossesALoanDoesNotCount(t *testing.T) {
	t.Parallel()
	b := newBank(t, 12)
	b.expectTaken("a", 2, 2)
	n := b.nodes["a"]
	n.Return()
	before := n.Loans(every, true)
	b.expectTaken("a", 2, 2) // another loan
	held := n.Unused(app) + 4
	b.lender.Renew(b.now, "a", before, false)
	if got := b.lender.Lent(app); got < held {
		t.Errorf("a may have %d, and the lender knows of %d", held, got)
	}
}

func TestANodeThatWasTakenForDeadKeepsWhatItUses(t *testing.T) {
	t.Parallel()
	b := newBank(t, 120)
	b.expectTaken("a", 5, 5)
	b.nodes["a"].Return()
	b.lender.Gone(b.now, "a")
	b.lender.Alive("a")
	b.nodes["a"].Reborn()
	b.nodes["a"].Begin(every)
	b.nodes["a"].Return()
	b.tell("a", true)
	if lent, unused := b.lender.Lent(app), b.nodes["a"].Unused(app); lent != 5 || unused != 0 {
		t.Errorf("%d are lent and %d of them unused, want 5 and none", lent, unused)
	}
}

func TestWhatIsIdleIsReturned(t *testing.T) {
	t.Parallel()
	b := newBank(t, 120)
	b.expectTaken("a", 5, 5)
	before := b.lender.Lent(app)
	b.nodes["a"].Return()
	b.nodes["a"].Return()
	b.tell("a", false)
	if got := b.lender.Lent(app); got != 6 || before <= 6 {
		t.Errorf("%d are lent, before %d, want 6: one more than is used", got, before)
	}
}

// TestTheLimitHolds whatever nodes do, messages are lost, nodes begin other lives, and lenders begin.
func TestTheLimitHolds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it is to be repeatable
		b := newBank(t, 1+r.IntN(40))
		used := map[cluster.NodeID]int{}
		for step := range 300 {
			id := b.names[r.IntN(len(b.names))]
			b.random(r, id, used)
			total, held := 0, 0
			for _, id := range b.names {
				total += used[id]
				held += used[id] + b.nodes[id].Unused(app)
			}
			if lent := b.lender.Lent(app); total > b.limit || b.isTold() && (held > lent || lent > b.limit) {
				t.Fatalf("seed %d, step %d: %d of %d are used, nodes may have %d, and the lender has lent %d", seed, step, total, b.limit, held, lent)
			}
		}
	}
}

// isTold reports whether no message is lost at the moment.
func (b *bank) isTold() bool { return len(b.deaf) == 0 }

// random does something.
func (b *bank) random(r *rand.Rand, id cluster.NodeID, used map[cluster.NodeID]int) {
	n := b.nodes[id]
	switch r.IntN(11) {
	case 0, 1, 2, 3:
		used[id] += b.take(id, 1+r.IntN(4))
	case 4, 5:
		if used[id] > 0 {
			used[id]--
			n.Release(app)
		}
	case 6:
		b.wait(time.Duration(r.IntN(200)) * time.Millisecond)
	case 7:
		n.Return()
		b.tell(id, false)
	case 8:
		if b.deaf[id] {
			delete(b.deaf, id)
			b.tell(id, false)
		} else {
			b.deaf[id] = true
		}
	case 9: // the owner of another partition has taken it for dead
		b.lender.Alive(id)
		n.Reborn()
		n.Begin(every)
		b.tell(id, true)
	case 10:
		clear(b.deaf)
		b.elect()
		for _, i := range r.Perm(len(b.names)) {
			b.tell(b.names[i], true)
		}
	}
}
