package local

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

type deaf struct{}

func (deaf) Receive(...*protocol.Publication)                          { /* thrown away */ }
func (deaf) Lost(protocol.Topic, protocol.Position, protocol.Position) { /* nothing is lost */ }
func (deaf) Reserve(context.Context, int) error                        { return nil }

// expectRooms checks how many topics b remembers, and of how many a retained value.
func expectRooms(t *testing.T, b *Bus, rooms, retaining int) {
	t.Helper()
	gotRooms, gotRetaining := 0, 0
	for i := range b.stripes {
		s := &b.stripes[i]
		s.mu.Lock()
		for kind := range s.rooms {
			gotRooms += s.rooms[kind].Len()
		}
		gotRetaining += len(s.retaining)
		s.mu.Unlock()
	}
	if gotRooms != rooms || gotRetaining != retaining {
		t.Errorf("%d topics with %d retained values, want %d with %d", gotRooms, gotRetaining, rooms, retaining)
	}
}

func name(prefix string, i int) protocol.Topic {
	return protocol.Topic{App: "app", Name: fmt.Sprint(prefix, i)}
}

func TestBusForgetsTopics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(deaf{}, Options{})
		publish := func(prefix string, n int, ttl time.Duration) {
			for i := range n {
				it := bus.Item{Publication: &protocol.Publication{Topic: name(prefix, i)}, Retain: ttl}
				if _, err := b.Publish(t.Context(), &bus.Batch{Items: []bus.Item{it}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		publish("plain", 1000, 0)
		expectRooms(t, b, 0, 0)
		publish("short", 1000, time.Second)
		publish("long", 1000, time.Hour)
		for i := range 10 {
			topic := name("short", i)
			if _, err := b.Join(t.Context(), bus.Join{Topic: &topic, Part: bus.Part{Version: 1, Subscriptions: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		expectRooms(t, b, 2000, 2000)
		<-time.After(sweepInterval + time.Second) // no call is needed
		synctest.Wait()
		expectRooms(t, b, 1010, 1000)
		for i := range 10 {
			b.Leave(bus.Leave{Topic: name("short", i), Part: bus.Part{Version: 2}})
		}
		expectRooms(t, b, 1000, 1000)
		<-time.After(time.Hour)
		synctest.Wait()
		expectRooms(t, b, 0, 0)
		b.alarms.mu.Lock()
		got := b.alarms.pending
		b.alarms.mu.Unlock()
		if got != 0 {
			t.Errorf("%d alarms pending although nothing is retained", got)
		}
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestOnlyDueNoticesHaveTimers: an idle or ended channel has none.
func TestOnlyDueNoticesHaveTimers(t *testing.T) {
	t.Parallel()
	b := New(deaf{}, Options{})
	topic := name("prices", 0)
	for i := range uint32(3) {
		j := bus.Join{Topic: &topic, Part: bus.Part{Version: uint64(i) + 1, Subscriptions: i + 1}, HasNotices: true}
		if _, err := b.Join(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		want := min(int(i), 1) // the first tells at once, the second arms
		if got := len(b.alarms.timers); got != want || b.alarms.pending != want {
			t.Errorf("after %d: got %d timers and %d pending, want %d", i, got, b.alarms.pending, want)
		}
	}
	b.Leave(bus.Leave{Topic: topic, Part: bus.Part{Version: 4}})
	if got := len(b.alarms.timers); got != 0 || b.alarms.pending != 0 {
		t.Errorf("after the last left: got %d timers and %d pending", got, b.alarms.pending)
	}
	expectRooms(t, b, 0, 0)
}
