package local_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, n bustest.Node) bus.Bus {
	b := local.New(n, local.Options{})
	t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
	return b
}

func TestBus(t *testing.T) {
	t.Parallel()
	bustest.Run(t, open)
}

// TestBusThatIsSlow shows that the suite holds where leaves are told late.
func TestBusThatIsSlow(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T, n bustest.Node) bus.Bus {
		return bustest.NewSlow(open(t, n), 10*time.Microsecond, nil)
	})
}

func TestTimesOfBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bustest.RunTimes(t, open, func(d time.Duration) { <-time.After(d) })
	})
}

func TestOrder(t *testing.T) {
	t.Parallel()
	bustest.RunViews(t, func(_ *testing.T, r bus.Receiver) view.Bus { return local.NewOrder(r) })
}

// counter is a node that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Receive(ps ...*protocol.Publication)                     { c.n.Add(int64(len(ps))) }
func (*counter) Lost(protocol.Topic, protocol.Position, protocol.Position) { /* nothing is lost */ }
func (*counter) Reserve(context.Context, int) error                        { return nil }

func join(topic *protocol.Topic) bus.Join {
	return bus.Join{Topic: topic, Part: bus.Part{Version: 1, Subscriptions: 1}}
}

func batch(items ...bus.Item) *bus.Batch { return &bus.Batch{Items: items} }

func TestShutdown(t *testing.T) {
	t.Parallel()
	var received counter
	b := local.New(&received, local.Options{})
	topic := protocol.Topic{App: "app", Name: "a"}
	ctx := t.Context()
	j := join(&topic)
	j.HasNotices = true
	if _, err := b.Join(ctx, j); err != nil {
		t.Fatalf("Join: %v", err)
	}
	j.Version, j.Subscriptions = 2, 2
	if _, err := b.Join(ctx, j); err != nil { // whose notice has to wait
		t.Fatalf("Join: %v", err)
	}
	received.n.Store(0)
	for range 2 {
		if err := b.Shutdown(ctx); err != nil {
			t.Fatalf("Shutdown: %v", err)
		}
	}
	calls := map[string]func() error{
		"Publish": func() error {
			_, err := b.Publish(ctx, batch(bus.Item{Publication: &protocol.Publication{Topic: topic}, Retain: time.Minute}))
			return err
		},
		"Join":          func() error { _, err := b.Join(ctx, j); return err },
		"State":         func() error { _, err := b.State(ctx, topic); return err },
		"Status":        func() error { _, err := b.Status(ctx, bus.StatusQuery{App: "app"}); return err },
		"Status of one": func() error { _, err := b.Status(ctx, bus.StatusQuery{App: "app", Name: "a"}); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("%s after Shutdown = %v, want ErrClosed", name, err)
		}
	}
	b.Leave(bus.Leave{Topic: topic, Part: bus.Part{Version: 3}})
	b.Announce("app")
	if n := received.n.Load(); n != 0 {
		t.Errorf("%d publications received, want none", n)
	}
}

// reentrant is a listener that looks whether events come in order for each channel.
type reentrant struct {
	t  *testing.T
	is map[string]bool // channels that are occupied; the bus serialises calls of one topic
	n  atomic.Int64
}

func (r *reentrant) Tell(e *room.Event) {
	r.n.Add(1)
	switch e.Kind {
	case room.ChannelOccupied, room.ChannelVacated:
		if is := e.Kind == room.ChannelOccupied; r.is[e.Channel] == is {
			r.t.Errorf("%s: occupied is %v already", e.Channel, is)
		}
		r.is[e.Channel] = !r.is[e.Channel]
	default: // without an opposite
	}
}

// TestTheEndOfAChannelIsToldBeforeAnotherBegins: otherwise its first subscriber could be told
// before the last of the one before has gone, and would be taken for gone with it.
func TestTheEndOfAChannelIsToldBeforeAnotherBegins(t *testing.T) {
	t.Parallel()
	l := &reentrant{t: t, is: map[string]bool{}}
	b := local.New(new(counter), local.Options{Listener: l})
	topic := protocol.Topic{App: "app", Name: "a"}
	for i := range uint64(100) {
		j := join(&topic)
		j.Version = 3*i + 1
		_, _ = b.Join(t.Context(), j)
		if i%2 == 0 { // the next one overtakes the end of this one
			j.Version = 3*i + 3
			_, _ = b.Join(t.Context(), j)
			b.Leave(bus.Leave{Topic: topic, Part: bus.Part{Version: 3*i + 2}})
			continue
		}
		b.Leave(bus.Leave{Topic: topic, Part: bus.Part{Version: 3*i + 3}})
	}
	if l.is["a"] {
		t.Error("the channel is occupied at the end")
	}
	if l.n.Load() != 2*100 { // a channel that goes on is told once, a count each time it changes
		t.Logf("%d events", l.n.Load())
	}
}

func publications(n int, prefix string) (topics []protocol.Topic, batches []*bus.Batch) {
	for i := range n {
		topics = append(topics, protocol.Topic{App: "app", Name: fmt.Sprint(prefix, "channel-", i)})
	}
	for i := range topics {
		batches = append(batches, batch(bus.Item{Publication: &protocol.Publication{Topic: topics[i]}}))
	}
	return topics, batches
}

func TestPublishAllocs(t *testing.T) {
	for _, isFollowed := range []bool{false, true} {
		b := local.New(new(counter), local.Options{})
		topics, batches := publications(1, "")
		if isFollowed {
			_, _ = b.Join(t.Context(), join(&topics[0]))
		}
		if got := testing.AllocsPerRun(100, func() { _, _ = b.Publish(t.Context(), batches[0]) }); got > 0 {
			t.Errorf("%v allocations with subscription %v, want none", got, isFollowed)
		}
	}
}

// BenchmarkPublish measures the bus alone: the node only counts. Order is what a bus without rooms
// costs.
func BenchmarkPublish(b *testing.B) {
	for _, bench := range []struct {
		name         string
		isSubscribed bool
		ttl          time.Duration
	}{{"unsubscribed", false, 0}, {"subscribed", true, 0}, {"retained", true, time.Minute}} {
		b.Run("bus/"+bench.name, func(b *testing.B) {
			l := local.New(new(counter), local.Options{})
			topics, batches := publications(100, "")
			for i := range topics {
				if bench.isSubscribed {
					_, _ = l.Join(b.Context(), join(&topics[i]))
				}
				batches[i].Items[0].Retain = bench.ttl
			}
			ctx, i := context.Background(), 0
			b.ReportAllocs()
			for b.Loop() {
				_, _ = l.Publish(ctx, batches[i%len(batches)])
				i++
			}
		})
		if bench.ttl > 0 {
			continue
		}
		b.Run("order/"+bench.name, func(b *testing.B) {
			o := local.NewOrder(new(counter))
			topics, batches := publications(100, "")
			if bench.isSubscribed {
				for i := range topics {
					o.Subscribe(&topics[i])
				}
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				o.Publish(batches[i%len(batches)].Items[0].Publication)
				i++
			}
		})
	}
}
