package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// TestANodeWithoutAnOwner publishes to its own connections what is not logged, in streams of its own, until it has an owner
// again.
func TestANodeWithoutAnOwner(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("c", "plain", 1)
	s.join("c", "ring-a", 2)
	s.said = nil
	s.kill("a")
	s.kill("b")
	s.isLost = true
	s.wait(1600 * time.Millisecond)
	if !s.nodes["c"].IsIsolated() {
		t.Fatal("the node is not isolated")
	}
	s.expect("c lost plain", "c lost ring-a")
	s.publish("c", "plain", "one")
	s.publish("c", "ring-a", "two")
	s.publish("c", "log-a", "three")
	s.expect("c receives one 1", "c has answer 3 0 1", "c receives two 1", "c has answer 4 0 1", "c has answer 5 1")
	s.isLost = false
	s.elect("c")
	if s.nodes["c"].IsIsolated() {
		t.Fatal("an owner is isolated")
	}
	s.expect("c lost plain", "c lost ring-a")
}

// TestWhatAnIsolatedNodeRefuses is what the log has part in: a request with a key. A subscription of a logged topic waits.
func TestWhatAnIsolatedNodeRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.listen("c", "*", 1)
	s.kill("a")
	s.kill("b")
	s.isLost = true
	s.said = nil
	s.wait(1600 * time.Millisecond)
	s.expect("c lost *")
	s.once("c", "k", "one", "plain")
	s.join("c", "log-a", 1)
	s.listen("c", "plain", 2)
	s.publish("c", "plain", "two")
	s.expect(fmt.Sprint("c has answer 2 ", cluster.Unavailable), "c has answer 4 joined", "c receives two of plain with [* plain]", "c has answer 5 0 1")
	s.isLost = false
	s.elect("c")
	s.wait(2300 * time.Millisecond)
	s.expect("c lost *", "c lost plain", "c has answer 3 joined at 0")
}
