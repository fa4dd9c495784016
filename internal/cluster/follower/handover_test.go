package follower_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/follower"
	"github.com/millrace/millrace/internal/protocol"
)

// desk is a follower, and what it says. Node a owns the partition in term 1.
type desk struct {
	*follower.Follower
	t   *testing.T
	out cluster.Output
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t}
	d.Follower = follower.New(&d.out, follower.Options{IsLogged: func(*protocol.Topic) bool { return false }})
	d.Owned(cluster.Ownership{Node: "a", Term: 1})
	d.out.Take()
	return d
}

// says expects what was said since it was called last.
func (d *desk) says(want ...string) {
	d.t.Helper()
	var got []string
	for _, e := range d.out.Take() {
		switch e := e.(type) {
		case cluster.Send:
			got = append(got, fmt.Sprintf("%s: %s", e.To, words(e.Message)))
		case cluster.LostMatching:
			got = append(got, "lost "+e.Pattern.Text)
		case cluster.Lost:
			got = append(got, "lost "+e.Topic.Name)
		case cluster.Answer:
			got = append(got, fmt.Sprintf("answer %d", e.Request))
		default:
			got = append(got, fmt.Sprintf("%T", e))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("(-want +got):\n%s", diff)
	}
}

func words(m cluster.Message) string {
	switch m := m.(type) {
	case *cluster.Join:
		return fmt.Sprintf("join %s, %d subscriptions", m.Topic.Name, m.Subscriptions)
	case *cluster.Leave:
		return fmt.Sprintf("leave %s, %d subscriptions", m.Topic.Name, m.Subscriptions)
	case *cluster.Replay:
		return fmt.Sprintf("replay %s after %d", m.Topic.Name, m.After.Serial)
	case *cluster.Publish:
		return "publish to " + m.Items[0].Topic.Name
	default:
		return fmt.Sprintf("%T", m)
	}
}

func topic(name string) *protocol.Topic { return &protocol.Topic{App: "app", Name: name} }

func (d *desk) join(name string, version uint64, subscriptions uint32) cluster.RequestID {
	return d.Join(0, cluster.Join{Topic: topic(name), Part: cluster.Part{Version: version, Subscriptions: subscriptions}})
}

// leave ends a subscription of a connection of its own.
func (d *desk) leave(name string, version uint64, subscriptions uint32) {
	other, _ := protocol.ParseSocketID("9.9")
	d.Leave(0, cluster.Leave{Topic: *topic(name), Part: cluster.Part{Version: version, Subscriptions: subscriptions}, Subscriber: other})
}

func (d *desk) publish(name string) {
	d.Publish(0, []cluster.Item{{Topic: *topic(name), Publication: &cluster.Publication{Event: "e"}}})
}

// follow has the follower be at serial 3 of a stream.
func (d *desk) follow(name string) {
	d.Receive(0, "a", &cluster.Joined{Request: d.join(name, 1, 1), Term: 1, Topic: *topic(name), Position: cluster.Position{StreamID: "x", Serial: 3}})
	d.out.Take()
}

// TestASuccessorIsSentWhatHasWaited and nothing that the owner before was sent, which has handed that over.
func TestASuccessorIsSentWhatHasWaited(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.follow("ring")
	d.publish("handed over")
	d.says("a: publish to handed over")
	d.Receive(0, "a", &cluster.Stopped{Term: 1})
	d.says("a: *cluster.Paused")
	d.publish("waits")
	d.join("ring", 2, 2)
	d.leave("ring", 3, 1)
	d.says()
	d.Owned(cluster.Ownership{Node: "b", Term: 2, After: 1})
	d.says("b: leave ring, 1 subscriptions", "b: publish to waits", "b: join ring, 1 subscriptions")
}

// TestAnOwnerThatNothingWasHandedOverTo gets a report, and what may have happened is not asked again.
func TestAnOwnerThatNothingWasHandedOverTo(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]cluster.Ownership{
		"after a hand-over that failed":    {Node: "b", Term: 2},
		"after a hand-over that it missed": {Node: "b", Term: 3, After: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.follow("ring")
			d.publish("asked")
			d.Receive(0, "a", &cluster.Stopped{Term: 1})
			d.publish("waits")
			d.out.Take()
			d.Owned(w)
			d.says("b: *cluster.Report", "answer 2", "b: publish to waits")
		})
	}
}

// TestAGapWhileAnOwnerHandsOver may be in what the successor has sent, of which the node does not know yet.
func TestAGapWhileAnOwnerHandsOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		isStopped bool
		before    []string
		after     []string
	}{
		"the owner goes on": {false, nil, []string{"b: *cluster.Report"}},
		"it has stopped":    {true, []string{"lost *"}, []string{"b: replay ring after 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.follow("ring")
			id := d.JoinPattern(0, cluster.Pattern{App: "app", Text: "*"}, cluster.Part{Version: 2, Subscriptions: 1}, protocol.SocketID{})
			d.Receive(0, "a", &cluster.PatternJoined{Request: id, Term: 1})
			if test.isStopped {
				d.Receive(0, "a", &cluster.Stopped{Term: 1})
			}
			d.out.Take()
			d.Gap(0, "b", nil, true)
			d.says(test.before...)
			d.Owned(cluster.Ownership{Node: "b", Term: 2, After: 1})
			d.says(test.after...)
		})
	}
}

// TestAnswersThatAreLostWhileAnOwnerHandsOver may be the successor's: the node asks again.
func TestAnswersThatAreLostWhileAnOwnerHandsOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.join("ring", 1, 1)
	d.Receive(0, "a", &cluster.Stopped{Term: 1})
	d.AskAgain("b", false)
	d.out.Take()
	d.Owned(cluster.Ownership{Node: "b", Term: 2, After: 1})
	d.says("b: *cluster.Report", "b: join ring, 1 subscriptions")
}

// TestANodeBeginsAnotherLifeWhileAnOwnerHandsOver: the successor forgets what the node had, so the node reports to it.
func TestANodeBeginsAnotherLifeWhileAnOwnerHandsOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.follow("ring")
	d.Receive(0, "a", &cluster.Stopped{Term: 1})
	d.Reborn()
	d.out.Take()
	d.Owned(cluster.Ownership{Node: "b", Term: 2, After: 1})
	d.says("b: *cluster.Report")
}

// TestAnIsolatedNodeAsksItself what the log has no part in.
func TestAnIsolatedNodeAsksItself(t *testing.T) {
	t.Parallel()
	d := &desk{t: t}
	d.Follower = follower.New(&d.out, follower.Options{IsLogged: func(t *protocol.Topic) bool { return t.Name == "logged" }})
	d.Owned(cluster.Ownership{Node: "a", Term: 1})
	d.follow("ring")
	d.join("logged", 2, 1)
	d.publish("asked")
	d.out.Take()
	d.Isolate("c")
	d.says("c: *cluster.Report", "answer 3")
	d.publish("logged")
	d.publish("ring")
	d.Change(0, cluster.Change{App: "app", ID: "x"})
	d.says("answer 4", "c: publish to ring")
	d.Owned(cluster.Ownership{Node: "b", Term: 2})
	d.says()
	d.Rejoin()
	d.says("b: *cluster.Report", "b: join logged, 1 subscriptions", "answer 5", "b: *cluster.Change")
}
