package hub_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// deaf takes everything and keeps nothing.
type deaf struct{ _ byte } // not empty: each has an address of its own

func (*deaf) WriteSegments([]bufpool.Segment) {}
func (*deaf) IsCongested(int) bool            { return false }

func TestWhatTheHubKnowsOfConnections(t *testing.T) {
	t.Parallel()
	h := hub.New(hub.Options{Shards: 3})
	prices, news := protocol.Topic{App: "1", Name: "prices"}, protocol.Topic{App: "1", Name: "news"}
	all := make([]hub.Subscriber, 300)
	subs := make([]hub.Subscription, len(all)+1)
	conns := make([]deaf, len(all))
	for i := range all {
		h.Attach(&all[i], &conns[i], protocol.NewSocketID(), protocol.VariantPusher)
		all[i].Subscribe(&subs[i], &prices)
	}
	all[0].Subscribe(&subs[len(all)], &news)
	if got := h.Conn(all[7].ID()); got != &conns[7] {
		t.Errorf("got %v, want the seventh", got)
	}
	if got := all[0].Topics(); !cmp.Equal(got, []protocol.Topic{news, prices}) {
		t.Errorf("topics %v", got)
	}

	// The last third comes and goes while the others are listed.
	var churn sync.WaitGroup
	stop := make(chan struct{})
	churn.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for i := 200; i < 300; i++ {
				subs[i].Close()
				all[i].Subscribe(&subs[i], &prices)
			}
		}
	})
	for range 50 {
		seen := map[protocol.SocketID]bool{}
		h.Subscribers(prices, func(id protocol.SocketID, _ hub.Conn) bool {
			seen[id] = true
			return true
		})
		for i := range 200 {
			if !seen[all[i].ID()] {
				t.Fatalf("connection %d is missing", i)
			}
		}
	}
	close(stop)
	churn.Wait()
	n := 0
	h.Subscribers(prices, func(protocol.SocketID, hub.Conn) bool { n++; return n < 5 })
	if n != 5 {
		t.Errorf("%d calls after false", n)
	}
	for i := range all {
		all[i].Detach()
	}
	if h.Conn(all[7].ID()) != nil || len(all[7].Topics()) > 0 {
		t.Error("what is detached is still known")
	}
	h.Subscribers(prices, func(protocol.SocketID, hub.Conn) bool { t.Error("nobody is left"); return true })
}

// A connection with more topics than are looked at under one hold of the lock is told whole, each
// once, also while it leaves some and comes back.
func TestTopicsOfASubscriberAreAllThere(t *testing.T) {
	t.Parallel()
	const stays, churns = 9000, 1000
	h := hub.New(hub.Options{Shards: 1})
	var s hub.Subscriber
	var conn deaf
	h.Attach(&s, &conn, protocol.NewSocketID(), protocol.VariantPusher)
	subs := make([]hub.Subscription, stays+churns)
	topic := func(i int) protocol.Topic { return protocol.Topic{App: "1", Name: strconv.Itoa(i)} }
	for i := range subs {
		s.Subscribe(&subs[i], new(topic(i)))
	}
	var churn sync.WaitGroup
	stop := make(chan struct{})
	churn.Go(func() { // ends with stop
		for {
			for i := stays; i < len(subs); i++ {
				select {
				case <-stop:
					return
				default:
				}
				subs[i].Close()
				s.Subscribe(&subs[i], new(topic(i)))
			}
		}
	})
	for range 50 {
		seen := map[protocol.Topic]int{}
		for _, topic := range s.Topics() {
			seen[topic]++
		}
		for i := range stays {
			if n := seen[topic(i)]; n != 1 {
				t.Fatalf("topic %d is there %d times", i, n)
			}
		}
	}
	close(stop)
	churn.Wait()
	if n := len(s.Topics()); n != len(subs) {
		t.Errorf("%d topics, want %d", n, len(subs))
	}
	s.Detach()
}
