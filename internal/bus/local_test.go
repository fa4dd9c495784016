package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/protocol"
)

// clock is a clock that the test sets.
type clock struct{ elapsed atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.elapsed.Load()) }

func (c *clock) advance(d time.Duration) { c.elapsed.Add(int64(d)) }

func TestLocal(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(_ *testing.T, r bus.Receiver) bus.Bus { return bus.NewLocal(r, nil) })
}

func TestLocalExpiry(t *testing.T) {
	t.Parallel()
	var c clock
	bustest.RunExpiry(t, func(_ *testing.T, r bus.Receiver) bus.Bus { return bus.NewLocal(r, c.now) }, c.advance)
}

// counter is a receiver that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Receive(*protocol.Publication) { c.n.Add(1) }

func TestLocalShutdown(t *testing.T) {
	t.Parallel()
	var received counter
	b := bus.NewLocal(&received, nil)
	topic := protocol.Topic{App: "app", Name: "a"}
	ctx := t.Context()
	if _, err := b.Subscribe(ctx, &topic); err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	calls := map[string]func() error{
		"Publish": func() error {
			_, err := b.Publish(ctx, &protocol.Publication{Topic: topic}, bus.Retention{TTL: time.Minute})
			return err
		},
		"Subscribe": func() error { _, err := b.Subscribe(ctx, &topic); return err },
		"Position":  func() error { _, err := b.Position(ctx, topic); return err },
		"Retained":  func() error { _, _, err := b.Retained(ctx, topic); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("%s after Shutdown = %v, want ErrClosed", name, err)
		}
	}
	b.Unsubscribe(topic)
	if n := received.n.Load(); n != 0 {
		t.Errorf("%d publications received, want none", n)
	}
}

// BenchmarkLocalPublish measures the bus alone: the receiver only counts.
func BenchmarkLocalPublish(b *testing.B) {
	for _, bench := range []struct {
		name         string
		isSubscribed bool
		ttl          time.Duration
	}{{"unsubscribed", false, 0}, {"subscribed", true, 0}, {"retained", true, time.Minute}} {
		b.Run(bench.name, func(b *testing.B) {
			l := bus.NewLocal(new(counter), nil)
			var pubs []*protocol.Publication
			for i := range 100 {
				topic := protocol.Topic{App: "app", Name: fmt.Sprintf("channel-%d", i)}
				pubs = append(pubs, &protocol.Publication{Topic: topic})
				if bench.isSubscribed {
					_, _ = l.Subscribe(b.Context(), &topic)
				}
			}
			ctx, i := context.Background(), 0
			b.ReportAllocs()
			for b.Loop() {
				_, _ = l.Publish(ctx, pubs[i%len(pubs)], bus.Retention{TTL: bench.ttl})
				i++
			}
		})
	}
}
