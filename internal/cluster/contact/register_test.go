package contact_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/contact"
	"github.com/millrace/millrace/internal/log"
)

// office is a register of three nodes, of which a and b live, in term 5, and what it says.
type office struct {
	*contact.Register
	t   *testing.T
	out cluster.Output
	now time.Duration
}

func peer(id cluster.NodeID) cluster.Peer { return cluster.Peer{Node: id, Incarnation: 1} }

func newOffice(t *testing.T) *office {
	t.Helper()
	s := &office{t: t}
	s.Register = contact.New(&s.out, contact.Options{
		Nodes: []cluster.NodeID{"a", "b", "c"},
		Limit: func(string) int { return 0 }, Rate: func(string) int { return 0 },
	})
	s.Alive(peer("a"))
	s.Alive(peer("b"))
	s.Begin(5)
	return s
}

// says expects what was said since it was called last.
func (s *office) says(want ...string) {
	s.t.Helper()
	var got []string
	for _, e := range s.out.Take() {
		var line string
		switch m := e.(cluster.Send).Message.(type) {
		case *cluster.Renewed:
			line = fmt.Sprintf("in contact, state %d, wants whole %v", m.State, m.WantsWhole)
		case *cluster.State:
			line = fmt.Sprintf("state %d to %d, %d documents", m.After, m.Number, len(m.Documents))
		case *cluster.Changed:
			line = fmt.Sprintf("request %d is change %d, missing %v", m.Request, m.Number, m.Missing)
		case *cluster.Moved:
			line = fmt.Sprintf("request %d is refused", m.Request)
		default:
			line = fmt.Sprintf("%T", m)
		}
		got = append(got, string(e.(cluster.Send).To)+": "+line)
	}
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
		s.t.Error(d)
	}
}

func (s *office) ask(id cluster.NodeID, request cluster.RequestID, change string) *contact.Change {
	return s.Change(s.now, peer(id), &cluster.Change{Request: request, App: "app", ID: change, Body: []byte(change)})
}

// store has a change stored, and its documents known.
func (s *office) store(c *contact.Change) {
	s.Decide(c)
	s.Commit(s.now, c)
}

func (s *office) renew(id cluster.NodeID, number, state uint64) {
	s.Renew(s.now, peer(id), &cluster.Renew{Term: 5, Number: number, State: state, IsWhole: number == 1})
}

// TestAChangeIsAnsweredWhenEveryNodeHasIt, as far as nodes may be alive.
func TestAChangeIsAnsweredWhenEveryNodeHasIt(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.Alive(peer("c"))
	s.store(s.ask("a", 1, "one"))
	s.says("a: state 0 to 1, 1 documents", "b: state 0 to 1, 1 documents", "c: state 0 to 1, 1 documents")
	s.renew("a", 1, 1)
	s.renew("b", 1, 1)
	s.says("a: in contact, state 1, wants whole false", "b: in contact, state 1, wants whole false")
	s.renew("c", 1, 1)
	s.says("c: in contact, state 1, wants whole false", "a: request 1 is change 1, missing []")
}

// TestAChangeNamesNodesThatDoNotHaveIt after five seconds, also to a node that has asked later. A node that was never heard may
// be alive.
func TestAChangeNamesNodesThatDoNotHaveIt(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.store(s.ask("a", 1, "one"))
	s.renew("a", 1, 1)
	s.out.Take()
	if next := s.Next(); next != 5*time.Second {
		t.Errorf("it is to be called at %v", next)
	}
	s.now = 5*time.Second - 1
	s.ask("b", 2, "one")
	s.Tick(s.now)
	s.says()
	s.now = 5 * time.Second
	s.Tick(s.now)
	s.says("a: request 1 is change 1, missing [b c]", "b: request 2 is change 1, missing [b c]")
}

// TestAChangeDoesNotWaitForDeadNodes, once they can admit nothing any more by a former owner.
func TestAChangeDoesNotWaitForDeadNodes(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.Tick(0)
	s.Gone(0, "b")
	s.Gone(0, "c")
	s.store(s.ask("a", 1, "one"))
	s.renew("a", 1, 1)
	s.says("a: state 0 to 1, 1 documents", "a: in contact, state 1, wants whole false")
	for s.now = s.Next(); len(s.out.Effects) == 0 && s.now < 5*time.Second; s.now = s.Next() {
		s.Tick(s.now)
	}
	s.says("a: request 1 is change 1, missing []")
}

// TestAChangeIsMadeOnce, whether it is asked again before it is stored, while nodes take it, or later.
func TestAChangeIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.Alive(peer("c"))
	c := s.ask("a", 1, "one")
	if s.ask("b", 7, "one") != nil {
		t.Error("it is stored again while it is decided")
	}
	s.store(c)
	if s.ask("b", 8, "one") != nil {
		t.Error("it is stored again while nodes take it")
	}
	s.out.Take()
	for _, id := range []cluster.NodeID{"a", "b", "c"} {
		s.renew(id, 1, 1)
	}
	if s.ask("c", 9, "one") != nil {
		t.Error("it is stored again when it is answered")
	}
	s.says("a: in contact, state 1, wants whole false", "b: in contact, state 1, wants whole false", "c: in contact, state 1, wants whole false",
		"a: request 1 is change 1, missing []", "b: request 7 is change 1, missing []", "b: request 8 is change 1, missing []", "c: request 9 is change 1, missing []")
}

// TestAChangeThatIsNotStored gives its number back, or is refused and may be asked again.
func TestAChangeThatIsNotStored(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	one := s.ask("a", 1, "one")
	for range 2 {
		if r := s.Decide(one); r.Kind != log.KindState || r.State.Number != 1 || r.Topic.App != "app" {
			t.Errorf("the record of the change is %+v, of %+v", r, r.State)
		}
		s.Undecide(one)
	}
	if s.ask("b", 2, "one") != nil {
		t.Error("a change that is decided again is another one")
	}
	s.Abandon(one)
	s.says("a: request 1 is refused", "b: request 2 is refused")
	again := s.ask("a", 3, "one")
	if again == nil {
		t.Fatal("a change that was refused is not stored")
	}
	if r := s.Decide(again); r.State.Number != 1 {
		t.Errorf("its number is %d", r.State.Number)
	}
}

// TestAnotherLifeIsNotAnswered: its requests have the same numbers.
func TestAnotherLifeIsNotAnswered(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	c := s.ask("a", 1, "one")
	s.Alive(cluster.Peer{Node: "a", Incarnation: 2})
	s.Abandon(c)
	s.says()
}

// TestStateOutlivesTerms: what is stored is known to the next owner, and a change that was not answered is asked again.
func TestStateOutlivesTerms(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	record := s.Decide(s.ask("a", 1, "one"))
	s.End()
	s.Applied(&record)
	s.Applied(&record)
	s.Begin(6)
	s.Fetch(peer("b"), &cluster.Fetch{})
	s.says("b: state 0 to 1, 1 documents")
	if s.HasState() != 1 || s.ask("a", 1, "one") != nil {
		t.Errorf("the state is %d, or the change is stored again", s.HasState())
	}
	if r := s.Decide(s.ask("a", 2, "two")); r.State.Number != 2 {
		t.Errorf("the next change is number %d", r.State.Number)
	}
}

// TestAnotherOwnerAnswers changes that are stored and not answered: it gets them as they were asked for.
func TestAnotherOwnerAnswers(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	asks := func(id string) *cluster.Change { return &cluster.Change{ID: id} }
	s.store(s.ask("a", 1, "stored"))
	s.ask("b", 2, "stored")
	s.ask("a", 3, "waits")
	if !s.IsStored(asks("stored")) || s.IsStored(asks("waits")) || s.IsStored(&cluster.Fetch{}) {
		t.Error("it is not known which change is stored")
	}
	var got []string
	for _, f := range s.Unanswered() {
		m := f.Message.(*cluster.Change)
		got = append(got, fmt.Sprintf("%s asks %d for %s of %s: %s", f.From.Node, m.Request, m.ID, m.App, m.Body))
	}
	want := []string{"a asks 1 for stored of app: stored", "b asks 2 for stored of app: stored"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s.out.Take()
	s.renew("a", 1, 1)
	s.renew("b", 1, 1)
	s.says("a: in contact, state 1, wants whole false", "b: in contact, state 1, wants whole false") // and no answer
}

// TestContact: a node whose renewals have a gap tells all its loans. What it has told counts in one term and in one life.
func TestContact(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	expect := func(want ...cluster.NodeID) {
		t.Helper()
		if d := cmp.Diff(want, s.Unaware()); d != "" {
			t.Errorf("nodes that may not know of the term: %s", d)
		}
	}
	expect("a", "b")
	s.renew("a", 1, 0)
	s.says("a: in contact, state 0, wants whole false")
	expect("b")
	s.renew("a", 2, 0)
	s.renew("a", 4, 0)
	s.renew("a", 5, 0)
	s.says("a: in contact, state 0, wants whole false", "a: in contact, state 0, wants whole true", "a: in contact, state 0, wants whole true")
	s.Renew(0, peer("a"), &cluster.Renew{Term: 5, Number: 6, IsWhole: true})
	s.says("a: in contact, state 0, wants whole false")
	s.Renew(0, peer("b"), &cluster.Renew{Term: 4, Number: 1, IsWhole: true})
	s.says()
	s.Alive(cluster.Peer{Node: "a", Incarnation: 2})
	expect("a", "b")
	s.renew("a", 1, 0)
	expect("b")
	s.End()
	expect()
	s.Begin(6)
	s.Gone(0, "b")
	expect("a")
}
