package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/node"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// site is three nodes whose links lose nothing and take no time, with a log that does what the test
// says. It is a table to read what machines do, not a simulator.
type site struct {
	t       *testing.T
	now     time.Duration
	names   []cluster.NodeID
	nodes   map[cluster.NodeID]*node.Node
	outs    map[cluster.NodeID]*cluster.Output
	owner   cluster.NodeID
	term    log.Term
	log     []log.Record
	appends []cluster.Append // that the log has not answered; of a log that stands still
	stands  bool
	isLost  bool                    // the log knows no owner
	isCut   map[cluster.NodeID]bool // nothing comes from them or to them
	isDeaf  map[cluster.NodeID]bool // nothing comes to them
	said    []string
	keyed   int // bytes of keys that an owner keeps
	decides []cluster.Decide
	decider func(cluster.Decide) []cluster.Decided // nil: it does not answer
}

func keeps(t *protocol.Topic) owner.Keeps {
	switch {
	case strings.HasPrefix(t.Name, "log-"):
		return owner.Log
	case strings.HasPrefix(t.Name, "ring-"):
		return owner.Ring
	default:
		return owner.Nothing
	}
}

func tells(t *protocol.Topic) bool { return strings.HasSuffix(t.Name, "-told") }

func newSite(t *testing.T) *site { return newSiteFor(t, 0) }

// newSiteFor makes a site whose owners keep so many bytes of keys.
func newSiteFor(t *testing.T, keyed int) *site {
	s := &site{
		t: t, names: []cluster.NodeID{"a", "b", "c"}, nodes: map[cluster.NodeID]*node.Node{}, outs: map[cluster.NodeID]*cluster.Output{}, keyed: keyed, decider: decideAll,
	}
	for _, id := range s.names {
		s.boot(id, 1)
	}
	s.settle()
	s.elect("a")
	return s
}

func (s *site) boot(id cluster.NodeID, life cluster.Incarnation) {
	out := new(cluster.Output)
	n := node.New(out, node.Options{
		Self: cluster.Peer{Node: id, Incarnation: life}, Nodes: s.names, Partitions: 1, IsCore: true, Keeps: keeps, Tells: tells, Wall: func() int64 { return 0 },
		MaxKeyed: s.keyed,
		Limit:    limitOf, Rate: func(string) int { return 90 },
	})
	s.nodes[id], s.outs[id] = n, out
	if len(s.log) > 0 {
		n.Applied(s.now, 0, s.log)
	}
	n.Start(s.now)
}

// elect makes a node the owner in the next term.
func (s *site) elect(id cluster.NodeID) {
	if n := s.nodes[s.owner]; n != nil {
		n.Ended(s.now, 0, s.term)
		s.settle()
	}
	s.owner, s.term = id, s.term+1
	s.nodes[id].Began(s.now, 0, s.term)
	s.settle()
	s.lead()
}

// lead tells nodes that their log knows an owner, but for nodes that are cut.
func (s *site) lead() {
	for _, id := range s.names {
		if n := s.nodes[id]; n != nil && !s.isCut[id] && !s.isLost {
			n.Led(s.now)
		}
	}
	s.settle()
}

// settle carries effects out until there are none.
func (s *site) settle() {
	for again := true; again; {
		again = false
		for _, id := range s.names {
			out := s.outs[id]
			if out == nil {
				continue
			}
			for _, e := range out.Take() {
				again = true
				s.carryOut(id, e)
			}
			for _, f := range s.nodes[id].Frames(s.now) {
				again = true
				if to := s.nodes[f.To]; to != nil && !s.isCut[id] && !s.isCut[f.To] && !s.isDeaf[f.To] {
					to.Receive(s.now, id, f.Frame)
				}
			}
		}
	}
}

func (s *site) carryOut(id cluster.NodeID, e cluster.Effect) {
	n := s.nodes[id]
	switch e := e.(type) {
	case cluster.Append:
		if s.stands {
			s.appends = append(s.appends, e)
			return
		}
		s.store(e)
	case cluster.HandOver:
		s.elect(e.To)
	case cluster.Load:
		st := log.Stream{Next: 1}
		for _, r := range s.log {
			if r.Kind == log.KindPublication && r.Topic == e.Topic {
				st.ID, st.Next = r.Publication.StreamID, r.Publication.Serial+1
			}
		}
		n.Loaded(s.now, 0, &e.Topic, st)
	case cluster.Receive:
		for _, p := range e.Publications {
			s.said = append(s.said, fmt.Sprintf("%s receives %s %d", id, p.Event, p.Serial))
		}
	case cluster.ReceiveMatching:
		for _, p := range e.Publications {
			s.said = append(s.said, fmt.Sprintf("%s receives %s of %s with %v", id, p.Event, e.Topic.Name, e.Patterns))
		}
	case cluster.LostMatching:
		s.said = append(s.said, fmt.Sprintf("%s lost %s", id, e.Pattern.Text))
	case cluster.Lost:
		s.said = append(s.said, fmt.Sprintf("%s lost %s", id, e.Topic.Name))
	case cluster.Answer:
		s.said = append(s.said, fmt.Sprintf("%s has answer %d %s", id, e.Request, outcome(e)))
	case cluster.ReadBack:
		var ps []*cluster.Publication
		for _, r := range s.log {
			if r.Kind == log.KindPublication && r.Topic == e.Topic && r.Publication.Serial > e.After {
				ps = append(ps, r.Publication)
			}
		}
		n.HasRead(s.now, 0, &e.Topic, e.After, ps)
	case cluster.Decide:
		s.decides = append(s.decides, e)
		s.decide(id)
	case cluster.InstallChanges:
		s.said = append(s.said, fmt.Sprintf("%s installs %s at %s", id, e.Changes, e.Seq))
	default:
		s.admission(id, e)
	}
}

func (s *site) store(e cluster.Append) {
	s.log = append(s.log, e.Group...)
	for _, id := range s.names {
		if n := s.nodes[id]; n != nil {
			n.Applied(s.now, 0, e.Group)
		}
	}
	s.nodes[s.owner].Appended(s.now, 0, e.Term, e.Number, nil)
}

func outcome(e cluster.Answer) string {
	switch m := e.Message.(type) {
	case *cluster.Published:
		return fmt.Sprint(m.Outcomes[0].Result, " ", m.Outcomes[0].Position.Serial)
	case *cluster.PatternJoined:
		return "joined"
	case *cluster.PublishedOnce:
		return fmt.Sprint("once ", m.Outcomes, " as ", m.IDs[0][:6])
	case *cluster.Joined:
		return fmt.Sprint("joined at ", m.Position.Serial)
	case *cluster.Replayed:
		return fmt.Sprintf("replayed %d to %d", len(m.Publications), m.Position.Serial)
	case *cluster.Mutated:
		return mutated(m)
	case *cluster.Changed:
		return fmt.Sprintf("changed %d, missing %v", m.Number, m.Missing)
	default:
		return fmt.Sprint(e.Result)
	}
}

// wait lets time pass.
func (s *site) wait(d time.Duration) {
	for end := s.now + d; s.now < end; s.now += 50 * time.Millisecond {
		s.lead()
		for _, id := range s.names {
			if n := s.nodes[id]; n != nil && n.Next() <= s.now {
				n.Tick(s.now)
			}
		}
		s.settle()
	}
}

func (s *site) join(id cluster.NodeID, topic string, version uint64) {
	s.nodes[id].Join(s.now, cluster.Join{Topic: &protocol.Topic{App: "app", Name: topic}, Part: cluster.Part{Version: version, Subscriptions: 1}})
	s.settle()
}

func (s *site) publish(id cluster.NodeID, topic string, events ...string) {
	var items []cluster.Item
	for _, e := range events {
		items = append(items, cluster.Item{Topic: protocol.Topic{App: "app", Name: topic}, Publication: &cluster.Publication{Event: e, MessageID: "id-" + e}})
	}
	s.nodes[id].Publish(s.now, items)
	s.settle()
}

func (s *site) kill(id cluster.NodeID) {
	delete(s.nodes, id)
	delete(s.outs, id)
}

func (s *site) expect(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.said); diff != "" {
		s.t.Errorf("(-want +got):\n%s", diff)
	}
	s.said = nil
}

// TestAPublicationReachesInterestedNodes whichever node owns, follows and publishes.
func TestAPublicationReachesInterestedNodes(t *testing.T) {
	t.Parallel()
	for topic, serial := range map[string]int{"plain": 1, "ring-a": 1, "log-a": 1} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.join("c", topic, 1)
			s.expect("c has answer 1 joined at 0")
			s.publish("b", topic, "hello")
			s.expect(fmt.Sprintf("b has answer 1 0 %d", serial), fmt.Sprintf("c receives hello %d", serial))
		})
	}
}

// TestALoggedPublicationIsDeliveredWhenItIsStored, and later ones are one group behind it.
func TestALoggedPublicationIsDeliveredWhenItIsStored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("c", "log-a", 1)
	s.said = nil
	s.stands = true
	s.publish("a", "log-a", "one")
	s.publish("b", "log-a", "two")
	s.publish("b", "log-a", "three")
	s.expect()
	if len(s.appends) != 1 {
		t.Fatalf("%d groups are outstanding, want 1", len(s.appends))
	}
	s.stands = false
	s.store(s.appends[0])
	s.settle()
	s.expect("a has answer 1 0 1", "b has answer 1 0 2", "b has answer 2 0 3", "c receives one 1", "c receives two 2", "c receives three 3")
}

// TestAnOwnerDies while a publication is in its log and not answered: the next owner knows its id.
func TestAnOwnerDies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("c", "log-a", 1)
	s.join("c", "ring-a", 1)
	s.join("c", "plain", 1)
	s.publish("b", "log-a", "one")
	s.publish("b", "ring-a", "first")
	s.said = nil
	s.stands = true
	s.publish("b", "log-a", "two")
	s.log = append(s.log, s.appends[0].Group...) // it is stored
	s.nodes["b"].Applied(s.now, 0, s.appends[0].Group)
	s.stands = false
	s.kill("a")
	s.wait(time.Second)
	s.expect()
	s.elect("b")
	s.expect("b has answer 3 0 2", "c lost plain", "c lost ring-a", "c receives two 2")
	s.publish("c", "log-a", "three")
	s.publish("c", "plain", "four")
	s.publish("c", "ring-a", "second")
	s.expect("c receives three 3", "c has answer 5 0 3", "c receives four 1", "c has answer 6 0 1", "c receives second 1", "c has answer 7 0 1")
}
