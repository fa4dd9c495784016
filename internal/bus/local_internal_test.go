package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

type nobody struct{}

func (nobody) Receive(*protocol.Publication) {}

// expectKept expects b to remember so many topics.
func expectKept(t *testing.T, b *Local, subscribed, retained int) {
	t.Helper()
	gotSubscribed, gotRetained := 0, 0
	for i := range b.stripes {
		gotSubscribed += b.stripes[i].subscribed.Len()
		gotRetained += len(b.stripes[i].retained)
	}
	if gotSubscribed != subscribed || gotRetained != retained {
		t.Errorf("%d topics are subscribed and %d values retained, want %d and %d", gotSubscribed, gotRetained, subscribed, retained)
	}
}

func TestLocalForgetsTopics(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	b := NewLocal(nobody{}, func() time.Time { return now })
	publish := func(prefix string, n int, ttl time.Duration) {
		for i := range n {
			p := &protocol.Publication{Topic: protocol.Topic{App: "app", Name: fmt.Sprint(prefix, i)}}
			if _, err := b.Publish(t.Context(), p, Retention{TTL: ttl}); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish("plain", 1000, 0)
	expectKept(t, b, 0, 0)

	publish("short", 1000, time.Second)
	publish("long", 1000, time.Hour)
	for i := range 10 {
		topic := protocol.Topic{App: "app", Name: fmt.Sprint("short", i)}
		if _, err := b.Subscribe(t.Context(), &topic); err != nil {
			t.Fatal(err)
		}
	}
	expectKept(t, b, 10, 2000)

	now = now.Add(2 * time.Second)
	last := protocol.Topic{App: "app", Name: "short999"}
	if r, _, err := b.Retained(t.Context(), last); r != nil || err != nil {
		t.Errorf("Retained = %v, %v, want nothing", r, err)
	}
	expectKept(t, b, 10, 1999)

	now = now.Add(sweepInterval)
	publish("plain", 1000, 0) // reaches every stripe
	expectKept(t, b, 10, 1000)

	for i := range 10 {
		b.Unsubscribe(protocol.Topic{App: "app", Name: fmt.Sprint("short", i)})
	}
	expectKept(t, b, 0, 1000)
}
