package node_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// TestAHandOverTellsNothing: streams, subscriptions and requests go on at the successor.
func TestAHandOverTellsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, topic := range []string{"plain", "ring-a", "log-a"} {
		s.join("c", topic, uint64(i)+1)
	}
	s.publish("b", "ring-a", "one")
	s.said = nil
	if !s.nodes["a"].HandOver(s.now, 0, "b") {
		t.Fatal("the owner does not hand over")
	}
	s.settle()
	if s.owner != "b" || !s.nodes["b"].IsInherited(0) {
		t.Fatalf("%s owns the partition", s.owner)
	}
	s.expect()
	for _, topic := range []string{"plain", "ring-a", "log-a"} {
		s.publish("b", topic, "two")
	}
	s.expect(
		"b has answer 2 0 1", "c receives two 1",
		"b has answer 3 0 2", "c receives two 2",
		"c receives two 1", "b has answer 4 0 1",
	)
}

// TestRequestsThatWaitAreHandedOver: what nodes ask of an owner that has stopped is carried out by the next one, behind what the
// owner has decided.
func TestRequestsThatWaitAreHandedOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("c", "ring-a", 1)
	s.said = nil
	s.stands = true
	s.publish("c", "log-a", "stored")
	if !s.nodes["a"].HandOver(s.now, 0, "b") {
		t.Fatal("the owner does not hand over")
	}
	s.settle()
	s.publish("c", "ring-a", "one")
	s.join("b", "ring-a", 1)
	s.publish("a", "ring-a", "two")
	s.expect()
	s.stands = false
	s.store(s.appends[0])
	s.settle()
	s.expect(
		"c has answer 2 0 1",
		"c receives one 1", "c has answer 3 0 1", "c receives two 2", "a has answer 1 0 2", "b has answer 1 joined at 1", "b receives two 2",
	)
	if s.owner != "b" {
		t.Errorf("%s owns the partition", s.owner)
	}
}

// TestAHandOverFails: while topics are handed over the owner goes on. Later it gives up, and the next owner asks for reports.
func TestAHandOverFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("c", "ring-a", 1)
	s.said = nil
	s.isDeaf = map[cluster.NodeID]bool{"b": true}
	s.nodes["a"].HandOver(s.now, 0, "b")
	s.publish("c", "ring-a", "one")
	s.expect("c receives one 1", "c has answer 2 0 1")
	s.wait(2100 * time.Millisecond)
	s.isDeaf = nil
	s.stands = true
	s.wait(50 * time.Millisecond)
	if !s.nodes["a"].HandOver(s.now, 0, "b") {
		t.Fatal("the owner does not hand over once more")
	}
	s.settle()
	s.isDeaf = map[cluster.NodeID]bool{"b": true}
	s.publish("c", "ring-a", "two")
	s.stands = false
	for _, e := range s.appends {
		s.store(e)
	}
	s.wait(1200 * time.Millisecond)
	s.expect()
	s.isDeaf = nil
	s.elect("c")
	if s.nodes["c"].IsInherited(0) {
		t.Error("the next owner has inherited what was handed over to another")
	}
	s.expect("c has answer 3 2", "c lost ring-a")
}
