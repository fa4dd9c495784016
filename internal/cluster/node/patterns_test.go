package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

func (s *site) listen(id cluster.NodeID, text string, version uint64) {
	s.nodes[id].JoinPattern(s.now, cluster.Pattern{App: "app", Text: text}, cluster.Part{Version: version, Subscriptions: 1}, protocol.SocketID{})
	s.settle()
}

// TestAPatternGetsWhatIsPublishedToChannelsThatMatch once, beside what a node gets that has the channel too.
func TestAPatternGetsWhatIsPublishedToChannelsThatMatch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.listen("b", "log-*", 1)
	s.listen("b", "*", 2)
	s.listen("c", "*-a", 1)
	s.join("b", "log-a", 3)
	s.expect("b has answer 1 joined", "b has answer 2 joined", "c has answer 1 joined", "b has answer 3 joined at 0")
	s.publish("a", "log-a", "one")
	s.expect("b receives one of log-a with [* log-*]", "b receives one 1", "c receives one of log-a with [*-a]", "a has answer 1 0 1")
	s.publish("a", "plain", "two")
	s.expect("a has answer 2 0 1", "b receives two of plain with [*]")
	s.nodes["b"].LeavePattern(s.now, cluster.Pattern{App: "app", Text: "*"}, cluster.Part{Version: 4}, protocol.SocketID{})
	s.settle()
	s.publish("a", "plain", "three")
	s.expect("a has answer 3 0 2")
}

// TestAPatternIsReportedToTheNextOwner, which says that something may be lost, and then sends what is published.
func TestAPatternIsReportedToTheNextOwner(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.listen("c", "*", 1)
	s.said = nil
	s.kill("a")
	s.wait(2300 * time.Millisecond)
	s.elect("b")
	s.expect("c lost *")
	s.publish("b", "plain", "one")
	s.expect("b has answer 1 0 1", "c receives one of plain with [*]")
	s.kill("c")
	s.wait(2300 * time.Millisecond)
	s.said = nil
	s.boot("c", 2)
	s.settle()
	s.publish("b", "plain", "two")
	s.expect("b has answer 2 0 2")
}

// TestANodeHasSoManyPatternsOfAnApp and no more.
func TestANodeHasSoManyPatternsOfAnApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 1000 {
		s.listen("b", fmt.Sprintf("p%d-*", i), uint64(i+1)) //nolint:gosec // positive
	}
	s.said = nil
	s.listen("b", "p7-*", 1001)
	s.listen("b", "more-*", 1002)
	s.expect("b has answer 1001 joined", fmt.Sprint("b has answer 1002 ", cluster.Busy))
}
