package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// once publishes an event with a key to topics.
func (s *site) once(id cluster.NodeID, key, event string, topics ...string) {
	k := &cluster.Keyed{Key: cluster.Key{App: "app", Name: key}, Digest: event, TTL: time.Minute}
	for _, topic := range topics {
		k.Items = append(k.Items, cluster.Item{Topic: protocol.Topic{App: "app", Name: topic}, Publication: &cluster.Publication{Event: event}})
	}
	s.nodes[id].PublishOnce(s.now, k)
	s.settle()
}

// idOf is how the ids of a claim of a term show in an answer.
func idOf(key string, term, claim uint64) string {
	return cluster.KeyedID(cluster.Key{App: "app", Name: key}, term<<32|claim, 0)[:6]
}

// TestARequestWithAKeyIsPublishedOnce whichever nodes are asked, and another request with the key is refused.
func TestARequestWithAKeyIsPublishedOnce(t *testing.T) {
	t.Parallel()
	for topic, next := range map[string]int{"plain": 1, "log-a": 2} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.join("c", topic, 1)
			s.said = nil
			s.once("b", "k", "hello", topic)
			stream := ""
			if p := s.log[1].Publication; p != nil {
				stream = p.StreamID
			}
			answer := fmt.Sprintf("once [{0 {%s 1}}] as %s", stream, idOf("k", 1, 1))
			s.expect("b has answer 1 "+answer, "c receives hello 1")
			s.once("c", "k", "hello", topic)
			s.expect("c has answer 2 " + answer)
			s.once("a", "k", "bye", topic)
			s.expect(fmt.Sprint("a has answer 1 ", cluster.Conflict))
			s.elect("b")
			s.said = nil
			s.once("a", "k", "hello", topic)
			s.expect("a has answer 2 " + answer)
			s.wait(time.Minute)
			s.once("a", "k", "bye", topic)
			s.expect(fmt.Sprint("c receives bye ", next), fmt.Sprintf("a has answer 3 once [{0 {%s %d}}] as %s", stream, next, idOf("k", 2, 1)))
		})
	}
}

// TestANodeDiesWithAKey after it has claimed it, and after an item was published: the next try goes on under the same ids.
func TestANodeDiesWithAKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stored []log.Kind // before the owner and the node die
		want   []string
	}{
		"nothing is stored": {want: []string{"c receives hello 1", "c has answer 2 once [{0 { 1}}] as " + idOf("k", 2, 1)}},
		"the claim is stored": {
			stored: []log.Kind{log.KindClaim},
			want:   []string{"c receives hello 1", "c has answer 2 once [{0 { 1}}] as " + idOf("k", 1, 1)},
		},
		"the id is stored": { // c was told that something of the topic is lost
			stored: []log.Kind{log.KindClaim, log.KindKnown},
			want:   []string{"c has answer 2 once [{0 { 0}}] as " + idOf("k", 1, 1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.join("c", "plain", 1)
			s.stands = true
			s.once("a", "k", "hello", "plain")
			for i, kind := range test.stored {
				stored := s.appends[i]
				if stored.Group[0].Kind != kind {
					t.Fatalf("group %d has the kind %d", i, stored.Group[0].Kind)
				}
				if i < len(test.stored)-1 {
					s.store(stored)
					s.settle()
					continue
				}
				s.log = append(s.log, stored.Group...) // the owner does not hear of it any more
				s.nodes["b"].Applied(s.now, 0, stored.Group)
				s.nodes["c"].Applied(s.now, 0, stored.Group)
			}
			s.stands, s.appends = false, nil
			s.kill("a")
			s.wait(2300 * time.Millisecond)
			s.elect("b")
			s.said = nil
			s.once("c", "k", "hello", "plain")
			s.expect(test.want...)
		})
	}
}

// TestThereIsRoomForSoManyKeys, and then for others when their time is over.
func TestThereIsRoomForSoManyKeys(t *testing.T) {
	t.Parallel()
	s := newSiteFor(t, 1000)
	s.once("b", "k1", "one", "plain")
	s.once("b", "k2", "two", "plain")
	s.expect(
		"b has answer 1 once [{0 { 1}}] as "+idOf("k1", 1, 1),
		fmt.Sprint("b has answer 3 once [{", cluster.Busy, " { 0}}] as ", idOf("k2", 1, 2)), // for the claim there was room
	)
	s.once("b", "k3", "three", "plain")
	s.once("b", "k1", "one", "plain")
	s.expect(fmt.Sprint("b has answer 5 ", cluster.Busy), "b has answer 6 once [{0 { 1}}] as "+idOf("k1", 1, 1))
	s.wait(3 * time.Minute)
	s.once("b", "k3", "three", "plain")
	s.expect("b has answer 7 once [{0 { 2}}] as " + idOf("k3", 1, 3))
}
