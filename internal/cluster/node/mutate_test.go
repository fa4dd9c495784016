package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// decideAll is a decider whose changes are the text of the batch. A position is the term and the first letter of the text.
func decideAll(e cluster.Decide) (all []cluster.Decided) {
	for _, b := range e.Batches {
		if string(b.Batch) == "bad" {
			all = append(all, cluster.Decided{Problem: "it is bad"})
			continue
		}
		all = append(all, cluster.Decided{Seq: fmt.Sprintf("%d:%s", e.Term, b.Batch[:1]), Changes: b.Batch})
	}
	return all
}

// decide has the decider answer what the owner has asked, if it answers.
func (s *site) decide(id cluster.NodeID) {
	for len(s.decides) > 0 && s.decider != nil {
		e := s.decides[0]
		s.decides = s.decides[1:]
		s.nodes[id].Decided(s.now, e.Partition, e.Term, s.decider(e))
	}
}

func mutated(m *cluster.Mutated) string {
	text := fmt.Sprint("mutated ", m.Result, " at ", m.Seq)
	if m.Problem != "" {
		text += ": " + m.Problem
	}
	if m.Fed.Serial > 0 {
		text += fmt.Sprintf(", fed to %s/%d", m.Fed.StreamID, m.Fed.Serial)
	}
	return text
}

// mutate asks a node for a batch.
func (s *site) mutate(id cluster.NodeID, batch, text string) {
	s.nodes[id].Mutate(s.now, cluster.Mutate{App: "app", ID: batch, Batch: []byte(text)})
	s.settle()
}

// feed asks a node for the batch of a publication. A term: its topic is not logged.
func (s *site) feed(id cluster.NodeID, text string, term log.Term, after, serial uint64) {
	f := &cluster.Feed{Topic: protocol.Topic{App: "app", Name: "t"}, Place: cluster.Position{StreamID: "s", Serial: serial}, Term: term}
	if after > 0 {
		f.After = cluster.Position{StreamID: "s", Serial: after}
	}
	s.nodes[id].Mutate(s.now, cluster.Mutate{App: "app", Feed: f, Batch: []byte(text)})
	s.settle()
}

// TestABatchIsInstalledOnEveryNode, when it is stored, once. Asked for again it has its first answer, under another owner too.
func TestABatchIsInstalledOnEveryNode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.stands = true
	s.mutate("b", "1", "one")
	s.mutate("c", "1", "one")
	s.expect()
	s.stands = false
	s.store(s.appends[0])
	s.settle()
	s.expect(
		"a installs one at 1:o", "b installs one at 1:o", "b has answer 1 mutated 0 at 1:o", "c installs one at 1:o", "c has answer 1 mutated 0 at 1:o",
	)
	s.nodes["c"].Applied(s.now, 0, s.appends[0].Group) // of a copy
	s.settle()
	s.elect("b")
	s.mutate("a", "1", "one")
	s.mutate("a", "2", "two")
	s.expect(
		"a has answer 1 mutated 0 at 1:o",
		"c installs two at 2:t", "a installs two at 2:t", "a has answer 2 mutated 0 at 2:t", "b installs two at 2:t",
	)
	s.wait(31 * time.Second) // the id is not known any more
	s.mutate("a", "1", "one")
	s.expect("c installs one at 2:o", "a installs one at 2:o", "a has answer 3 mutated 0 at 2:o", "b installs one at 2:o")
}

// TestABatchThatCanNeverBeAppliedIsNotStored.
func TestABatchThatCanNeverBeAppliedIsNotStored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mutate("b", "1", "bad")
	s.expect(fmt.Sprintf("b has answer 1 mutated %d at : it is bad", cluster.Invalid))
	if len(s.log) > 0 {
		t.Errorf("the log has %d records", len(s.log))
	}
	s.mutate("b", "1", "good")
	s.expect("b installs good at 1:g", "b has answer 2 mutated 0 at 1:g", "c installs good at 1:g", "a installs good at 1:g")
}

// TestAnOwnerDiesWithABatch that is stored, is in no log, or is with the decider. The next owner answers as if it had been asked first.
func TestAnOwnerDiesWithABatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(s *site)
		want    []string
	}{
		"it is stored": {
			happens: func(s *site) {
				s.stands = true
				s.mutate("b", "1", "one")
				s.log = append(s.log, s.appends[0].Group...)
				for _, id := range s.names[1:] {
					s.nodes[id].Applied(s.now, 0, s.appends[0].Group)
				}
			},
			want: []string{"b installs one at 1:o", "c installs one at 1:o", "b has answer 1 mutated 0 at 1:o"},
		},
		"it is not stored": {
			happens: func(s *site) {
				s.stands = true
				s.mutate("b", "1", "one")
			},
			want: []string{"c installs one at 2:o", "b installs one at 2:o", "b has answer 1 mutated 0 at 2:o"},
		},
		"it is not decided": {
			happens: func(s *site) {
				s.decider = nil
				s.mutate("b", "1", "one")
				s.decides, s.decider = nil, decideAll
			},
			want: []string{"c installs one at 2:o", "b installs one at 2:o", "b has answer 1 mutated 0 at 2:o"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			test.happens(s)
			s.stands, s.appends = false, nil
			s.kill("a")
			s.wait(time.Second)
			s.elect("b")
			s.expect(test.want...)
		})
	}
}

// TestATermEndsWhileABatchIsDecided: what the decider says then counts no more, in a later term of the same node neither.
func TestATermEndsWhileABatchIsDecided(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.decider = nil
	s.mutate("a", "1", "one")
	s.elect("b")
	s.elect("a")
	for _, late := range s.decides[:2] {
		s.nodes["a"].Decided(s.now, 0, late.Term, decideAll(late))
	}
	s.settle()
	s.expect()
	s.decides, s.decider = s.decides[2:], decideAll
	s.decide("a")
	s.settle()
	s.expect("b installs one at 3:o", "c installs one at 3:o", "a installs one at 3:o", "a has answer 1 mutated 0 at 3:o")
}

// TestALogRefusesABatch, which has not happened then and may be asked for again.
func TestALogRefusesABatch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.stands = true
	s.mutate("a", "1", "one")
	s.stands = false
	s.nodes["a"].Appended(s.now, 0, s.term, s.appends[0].Number, log.ErrNotStored)
	s.settle()
	s.expect(fmt.Sprintf("a has answer 1 mutated %d at ", cluster.Unavailable))
	s.mutate("a", "1", "one")
	s.expect("b installs one at 1:o", "c installs one at 1:o", "a installs one at 1:o", "a has answer 2 mutated 0 at 1:o")
}

// TestADeciderAnswersForSomeBatches, and the others are in the next group.
func TestADeciderAnswersForSomeBatches(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.decider = nil
	s.mutate("a", "1", "one")
	s.mutate("a", "2", "two")
	s.mutate("a", "3", "three")
	var asked []int
	s.decider = func(e cluster.Decide) []cluster.Decided {
		asked = append(asked, len(e.Batches))
		return decideAll(e)[:1]
	}
	s.decide("a")
	s.settle()
	if got := fmt.Sprint(asked); got != "[1 2 1]" {
		t.Errorf("the decider was asked for %s batches", got)
	}
	if len(s.log) != 3 || s.log[2].Changes.Number != 3 {
		t.Errorf("the log has %d records", len(s.log))
	}
}

// TestBatchesOfALoggedTopicFollowEachOther: whichever nodes make them, each is applied once, and none is left out.
func TestBatchesOfALoggedTopicFollowEachOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.feed("b", "one", 0, 0, 1)
	s.expect("b installs one at 1:o", "b has answer 1 mutated 0 at 1:o, fed to s/1", "c installs one at 1:o", "a installs one at 1:o")
	s.feed("c", "one", 0, 0, 1) // it has its first answer
	s.feed("c", "four", 0, 3, 4)
	misplaced := fmt.Sprintf("mutated %d at , fed to s/", cluster.Misplaced)
	s.expect("c has answer 1 mutated 0 at 1:o, fed to s/1", "c has answer 2 "+misplaced+"1")
	s.feed("c", "bad", 0, 1, 2) // its place is taken
	s.expect(fmt.Sprintf("c has answer 3 mutated %d at : it is bad, fed to s/2", cluster.Invalid))
	s.elect("b")
	s.feed("a", "bad", 0, 1, 2)
	s.feed("a", "one", 0, 0, 1)
	s.feed("a", "three", 0, 2, 3)
	s.expect(
		"a has answer 1 mutated 0 at , fed to s/2", "a has answer 2 "+misplaced+"2",
		"c installs three at 2:t", "a installs three at 2:t", "a has answer 3 mutated 0 at 2:t, fed to s/3", "b installs three at 2:t",
	)
}

// TestBatchesOfAGroupMayFollowEachOther: what they follow is on its way.
func TestBatchesOfAGroupMayFollowEachOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.stands = true
	s.mutate("a", "1", "zero")
	s.feed("a", "one", 0, 0, 1)
	s.feed("a", "two", 0, 1, 2)
	s.feed("a", "six", 0, 5, 6)
	s.expect(fmt.Sprintf("a has answer 4 mutated %d at ", cluster.Misplaced))
	s.stands = false
	s.store(s.appends[0])
	s.settle()
	s.said = s.said[:4]
	s.expect("a installs zero at 1:z", "a has answer 1 mutated 0 at 1:z", "b installs zero at 1:z", "c installs zero at 1:z")
	if len(s.appends) != 1 || len(s.log) != 3 {
		t.Errorf("the log has %d records", len(s.log))
	}
}

// TestBatchesOfAnUnloggedTopicComeAtMostOnce, in the order of terms and serials.
func TestBatchesOfAnUnloggedTopicComeAtMostOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, f := range []struct {
		text         string
		term, serial uint64
	}{{"a", 1, 5}, {"b", 1, 4}, {"c", 1, 5}, {"d", 1, 7}, {"e", 3, 2}, {"f", 2, 9}, {"g", 1, 8}} {
		s.feed("a", f.text, log.Term(f.term), 0, f.serial)
	}
	var stored []string
	for i := range s.log {
		stored = append(stored, string(s.log[i].Changes.Body))
	}
	if got := fmt.Sprint(stored); got != "[a d e]" {
		t.Errorf("the log has %s", got)
	}
}
