package budget_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/budget"
)

// TestRatesFollowWhatNodesAskFor: after a second nodes have parts of the rate that follow what they ask for.
func TestRatesFollowWhatNodesAskFor(t *testing.T) {
	t.Parallel()
	const rate = 900
	for name, test := range map[string]struct{ asked, want [3]int }{
		"nothing is asked for":     {[3]int{}, [3]int{300, 300, 300}},
		"all have the same":        {[3]int{500, 500, 500}, [3]int{300, 300, 300}},
		"one has all":              {[3]int{5000, 0, 0}, [3]int{840, 30, 30}},
		"one has twice as much":    {[3]int{200, 100, 0}, [3]int{570, 300, 30}},
		"less than the whole rate": {[3]int{20, 10, 10}, [3]int{435, 232, 232}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := func(string) int { return rate }
			owner := budget.NewSplitter(3, of)
			var nodes [3]*budget.Spender
			for i := range nodes {
				nodes[i] = budget.NewSpender(3, of)
				nodes[i].Ask(app, test.asked[i])
				if !nodes[i].Settle(time.Second) || nodes[i].Settle(time.Second+1) {
					t.Fatal("a second is not over after a second, or twice")
				}
			}
			for range 2 { // the first node is answered before the last one has told
				for i, n := range nodes {
					for _, d := range n.Demands(every) {
						n.Take(cluster.RateShare{App: app, PerSecond: owner.Share(cluster.NodeID("abc"[i:i+1]), d)})
					}
				}
			}
			sum := 0
			for i, n := range nodes {
				sum += n.Share(app)
				if got := n.Share(app); got != test.want[i] && (test.asked[i] > 0 || test.asked == [3]int{}) {
					t.Errorf("node %d has %d, want %d", i, got, test.want[i])
				}
			}
			if sum > rate+2*rate/3 {
				t.Errorf("the sum is %d, want at most %d and what idle nodes begin with", sum, rate)
			}
		})
	}
}
