package interest_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/protocol"
)

func topicReport(name string, subscriptions uint32, members ...cluster.MemberReport) cluster.TopicReport {
	return cluster.TopicReport{Topic: channel(name), Part: part(9, subscriptions), Members: members}
}

func memberReport(socket, user string, order uint64) cluster.MemberReport {
	return cluster.MemberReport{Subscriber: place("", socket).Subscriber, Member: &protocol.Member{UserID: user}, Order: order}
}

// TestWhatANodeHasNotReported goes: topics that its report does not have, and members. What other nodes have stays.
func TestWhatANodeHasNotReported(t *testing.T) {
	t.Parallel()
	s := newTable(1)
	for _, name := range []string{"x", "y", "presence-x", "presence-y"} {
		s.Topic(channel(name)).Take("a", part(1, 1))
		s.Topic(channel(name)).Take("b", part(1, 1))
	}
	for _, socket := range []string{"1.1", "1.2"} {
		for _, name := range []string{"presence-x", "presence-y"} {
			s.Enter(s.Topic(channel(name)), place("a", socket))
			s.Enter(s.Topic(channel(name)), place("b", "2"+socket[1:]))
		}
	}
	var r interest.Report
	r.Add(&cluster.Report{Topics: []cluster.TopicReport{topicReport("x", 1)}})
	r.Add(&cluster.Report{Topics: []cluster.TopicReport{topicReport("presence-x", 1, memberReport("1.2", "u", 1))}, IsLast: true})
	var got []string
	for _, d := range s.NotIn(&r, "a") {
		got = append(got, d.Topic.Topic().Name)
		for _, p := range d.Places {
			got = append(got, string(p.Node)+" "+p.Subscriber.String())
		}
		d.Topic.Remove(d.Places)
	}
	if d := cmp.Diff([]string{"presence-x", "a 1.1", "presence-y", "a 1.1", "a 1.2", "y"}, got); d != "" {
		t.Error(d)
	}
	for name, want := range map[string][]cluster.NodeID{"x": {"a", "b"}, "y": {"b"}, "presence-x": {"a", "b"}, "presence-y": {"b"}} {
		if got := s.Find(channel(name)).Nodes(); !slices.Equal(got, want) {
			t.Errorf("%s is wanted by %v, want %v", name, got, want)
		}
	}
	if !r.Has(channel("presence-x"), place("", "1.2").Subscriber) || r.Has(channel("presence-x"), place("", "1.1").Subscriber) || r.Has(channel("y"), place("", "1.1").Subscriber) {
		t.Error("the report has what was not in it, or does not have what was")
	}
}

func TestReportsAreComplete(t *testing.T) {
	t.Parallel()
	dead := make(map[cluster.NodeID]bool)
	mayBeAlive := func(id cluster.NodeID) bool { return !dead[id] }
	var r interest.Reports
	if !r.IsComplete(mayBeAlive) {
		t.Error("no node is to report, and one is missing")
	}
	for _, id := range []cluster.NodeID{"a", "b", "c"} {
		r.Expect(id)
	}
	for _, step := range []struct {
		name string
		act  func()
		want bool
	}{
		{"one has reported", func() { r.Done("a") }, false},
		{"one has died", func() { dead["b"] = true }, false},
		{"it lives again", func() { dead["b"] = false }, false},
		{"the last has reported", func() { r.Done("c") }, true},
		{"a node that was not expected has reported", func() { r.Done("d") }, true},
	} {
		if step.act(); r.IsComplete(mayBeAlive) != step.want {
			t.Errorf("%s: want complete: %v", step.name, step.want)
		}
	}
}

// TestReportedMembers are taken once, by topic, in the order of their joins; those without a number are last. A report
// that begins again takes the place of the one before.
func TestReportedMembers(t *testing.T) {
	t.Parallel()
	var r interest.Reports
	add := func(id cluster.NodeID, reports ...cluster.TopicReport) {
		for i := range reports {
			r.Add(id, &reports[i])
		}
	}
	add("a", topicReport("y", 1, memberReport("1.1", "old", 1)))
	r.Forget("a")
	add("b", topicReport("x", 2, memberReport("2.1", "none", 0), memberReport("2.2", "third", 3)))
	add("a", topicReport("y", 1, memberReport("1.1", "only", 9)), topicReport("x", 2, memberReport("1.2", "second", 2), memberReport("1.3", "first", 1)))
	if !r.HasMembers() {
		t.Error("there are no members")
	}
	var got []string
	for _, m := range r.Take() {
		got = append(got, m.Topic.Name+" "+string(m.Node)+" "+m.Member.UserID)
	}
	if d := cmp.Diff([]string{"x a first", "x a second", "x b third", "x b none", "y a only"}, got); d != "" {
		t.Error(d)
	}
	if r.HasMembers() || len(r.Take()) > 0 {
		t.Error("members are taken twice")
	}
}

// TestARetainedPublication is as it was published, until its time is over.
func TestARetainedPublication(t *testing.T) {
	t.Parallel()
	tp := newTable(1).Topic(channel("cache-x"))
	p := &cluster.Publication{Kind: protocol.KindEvent, Event: "e", Data: []byte("data"), UserID: "u", HasNumericID: true, Serial: 7}
	tp.Retain(0, p, 10)
	if got := tp.Retained(9); !reflect.DeepEqual(got, p) {
		t.Errorf("%+v is retained, want %+v", got, p)
	}
	if got := tp.Retained(10); got != nil {
		t.Errorf("%v is retained after its time", got)
	}
}
