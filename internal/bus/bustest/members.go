package bustest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// enter makes a connection a member.
func (n *node) enter(t *testing.T, topic protocol.Topic, id int, user string, limit int) (bus.State, error) {
	t.Helper()
	return n.Join(t.Context(), bus.Join{
		Topic: &topic, Part: n.part(topic, 1), Subscriber: socketID(id),
		Member: &protocol.Member{UserID: user, Info: fmt.Appendf(nil, "%d", id)}, MaxMembers: limit,
	})
}

func (n *node) mustEnter(t *testing.T, topic protocol.Topic, id int, user string) bus.State {
	t.Helper()
	st, err := n.enter(t, topic, id, user, 0)
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	return st
}

func (n *node) exit(topic protocol.Topic, id int) {
	n.Leave(bus.Leave{Topic: topic, Part: n.part(topic, -1), Subscriber: socketID(id)})
}

func memberLines(members []protocol.Member) []string {
	var list []string
	for _, m := range members {
		list = append(list, m.UserID+" "+string(m.Info))
	}
	slices.Sort(list)
	return list
}

func noticeLines(pubs []*protocol.Publication) []string {
	var list []string
	for _, p := range pubs {
		switch p.Kind {
		case protocol.KindMemberAdded:
			list = append(list, "added "+p.UserID+" "+string(p.Data))
		case protocol.KindMemberRemoved:
			list = append(list, "removed "+p.UserID)
		case protocol.KindUserOnline:
			list = append(list, "online "+p.UserID)
		case protocol.KindUserOffline:
			list = append(list, "offline "+p.UserID)
		default:
			list = append(list, p.Event)
		}
	}
	return list
}

func tellsOfMembers(t *testing.T, n *node) {
	x := topic("presence-x")
	expect := func(st bus.State, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, memberLines(st.Members), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	}
	expect(n.mustEnter(t, x, 1, "u-1"), "u-1 1")
	expect(n.mustEnter(t, x, 2, "u-2"), "u-1 1", "u-2 2")
	expect(n.mustEnter(t, x, 3, "u-1"), "u-1 1", "u-2 2")
	n.exit(x, 1)
	expect(n.state(t, x), "u-1 3", "u-2 2")
	n.exit(x, 3)
	n.Leave(bus.Leave{Topic: x, Part: n.part(x, 0), Subscriber: socketID(3000)}) // which is not there
	expect(n.state(t, x), "u-2 2")
	last := n.publish(t, x, "end", 0)
	want := []string{"added u-1 1", "added u-2 2", "removed u-1", "end"}
	got := n.await(t, x, last)
	if diff := cmp.Diff(want, noticeLines(got)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if got[0].Except != socketID(1) || got[2].Except != socketID(3) {
		t.Errorf("events except %v and %v, want those whose doing they are", got[0].Except, got[2].Except)
	}
}

func refusesNewMembers(t *testing.T, n *node) {
	x := topic("presence-x")
	before := n.mustEnter(t, x, 1, "u-1").Position
	_, err := n.enter(t, x, 2, "u-2", 1)
	if perr, ok := errors.AsType[*protocol.Error](err); !ok || perr.Code != protocol.ErrPresenceFull.Code {
		t.Errorf("Join = %v, want ErrPresenceFull", err)
	}
	if st := n.state(t, x); st.Position != before || len(st.Members) != 1 {
		t.Errorf("state %+v after a refusal, want the one before", st)
	}
	n.exit(x, 2) // as a caller does after any error
	if _, err := n.enter(t, x, 3, "u-1", 1); err != nil {
		t.Errorf("another connection of a member: %v", err)
	}
	if got := n.state(t, x).Members; len(got) != 1 {
		t.Errorf("members %v", memberLines(got))
	}
}

// agreesOnMembers lets connections of few users come and go. What a joiner is given and what is
// received after it must never contradict each other, and end as all of them end.
func agreesOnMembers(t *testing.T, n *node) {
	const workers, rounds, users = 6, 120, 3
	x := topic("presence-x")
	n.mustEnter(t, x, workers+1, "witness") // through whom everything is received
	states := make([][]bus.State, workers)
	racing(workers, func(worker int) {
		id := worker + 1
		for i := range rounds {
			states[worker] = append(states[worker], n.mustEnter(t, x, id, fmt.Sprintf("u-%d", (worker+i)%users)))
			if i == rounds-1 && worker%2 == 0 {
				return // stays
			}
			n.exit(x, id)
		}
	})
	received := n.await(t, x, n.publish(t, x, "end", 0))
	var all []bus.State
	for _, list := range states {
		all = append(all, list...)
	}
	all = append(all, n.state(t, x))
	slices.SortFunc(all, func(a, b bus.State) int { return int(int64(a.Position.Offset) - int64(b.Position.Offset)) })
	here := map[string]bool{"witness": true}
	for _, st := range all {
		for len(received) > 0 && st.Position.Covers(received[0].Position) {
			p := received[0]
			received = received[1:]
			switch isAdded := p.Kind == protocol.KindMemberAdded; {
			case p.UserID == "witness", p.Kind == protocol.KindEvent:
			case isAdded == here[p.UserID]:
				t.Fatalf("%v at %v, while member is %v", noticeLines([]*protocol.Publication{p}), p.Position, isAdded)
			case isAdded:
				here[p.UserID] = true
			default:
				delete(here, p.UserID)
			}
		}
		var got []string
		for _, m := range st.Members {
			got = append(got, m.UserID)
		}
		slices.Sort(got)
		if want := slices.Sorted(maps.Keys(here)); !slices.Equal(got, want) {
			t.Fatalf("the state at %v has members %v, and what was received up to it %v", st.Position, got, want)
		}
	}
}

func namesSenders(t *testing.T, n *node) {
	x := topic("presence-x")
	n.mustEnter(t, x, 1, "u-1")
	n.join(t, topic("private-x"))
	var last []protocol.Position
	for _, name := range []string{"presence-x", "private-x"} {
		p := &protocol.Publication{Topic: topic(name), Event: "client-a", IsClientEvent: true, Except: socketID(1)}
		n.publishAll(t, bus.Item{Publication: p})
		last = append(last, p.Position)
	}
	if got := n.await(t, x, last[0]); got[len(got)-1].UserID != "u-1" {
		t.Errorf("the event is of %q, want u-1", got[len(got)-1].UserID)
	}
	if got := n.await(t, topic("private-x"), last[1]); got[0].UserID != "" {
		t.Errorf("the event is of %q, want no user", got[0].UserID)
	}
}

func tellsOfUsers(t *testing.T, n *node) {
	user, watch := topic("u-9"), topic("u-9")
	user.Kind, watch.Kind = protocol.TopicUser, protocol.TopicWatch
	if n.join(t, watch).IsOnline {
		t.Error("online before it is")
	}
	n.join(t, user)
	n.join(t, user)
	if st := n.join(t, watch); !st.IsOnline {
		t.Error("not online although it is")
	}
	n.leave(user)
	n.leave(user)
	if n.state(t, watch).IsOnline {
		t.Error("online although it is not")
	}
	last := n.publish(t, watch, "end", 0)
	if diff := cmp.Diff([]string{"online u-9", "offline u-9", "end"}, noticeLines(n.await(t, watch, last))); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if got := n.received(t, user); len(got) > 0 {
		t.Errorf("received %v on the topic of the user", noticeLines(got))
	}
}

func counts(t *testing.T, n *node) {
	expect := func(q bus.StatusQuery, want ...bus.Status) {
		t.Helper()
		if diff := cmp.Diff(want, n.status(t, q), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", q, diff)
		}
	}
	expect(bus.StatusQuery{App: "bustest"})
	for i, name := range strings.Fields("prices presence-x prices presence-y presence-x #server-to-user-u-9 presence-x") {
		if strings.HasPrefix(name, "presence-") {
			n.mustEnter(t, topic(name), i+1, fmt.Sprintf("u-%d", i%2))
			continue
		}
		n.join(t, protocol.ChannelTopic("bustest", name))
	}
	n.join(t, protocol.Topic{App: "bustest", Kind: protocol.TopicUser, Name: "prices"}) // a user of that id
	prices := bus.Status{Name: "prices", Subscriptions: 2}
	x := bus.Status{Name: "presence-x", Subscriptions: 3, Users: 2}
	y := bus.Status{Name: "presence-y", Subscriptions: 1, Users: 1}
	expect(bus.StatusQuery{App: "bustest"}, x, y, prices)
	expect(bus.StatusQuery{App: "bustest", Prefix: "presence-"}, x, y)
	expect(bus.StatusQuery{App: "bustest", Name: "presence-x"}, x)
	expect(bus.StatusQuery{App: "bustest", Name: "presence-"})
	expect(bus.StatusQuery{App: "another"})
}
