package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

type nobody struct{}

func (nobody) Receive(*protocol.Publication) {}

// states counts the topics that b remembers.
func states(b *Local) (topics, retained int) {
	for i := range b.stripes {
		topics += len(b.stripes[i].topics)
		retained += b.stripes[i].retained
	}
	return topics, retained
}

func expectStates(t *testing.T, b *Local, topics, retained int) {
	t.Helper()
	if gotTopics, gotRetained := states(b); gotTopics != topics || gotRetained != retained {
		t.Errorf("%d topics with %d retained values, want %d with %d", gotTopics, gotRetained, topics, retained)
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
	expectStates(t, b, 0, 0)

	publish("short", 1000, time.Second)
	publish("long", 1000, time.Hour)
	for i := range 10 {
		topic := protocol.Topic{App: "app", Name: fmt.Sprint("short", i)}
		if _, err := b.Subscribe(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	expectStates(t, b, 2000, 2000)

	now = now.Add(2 * time.Second)
	last := protocol.Topic{App: "app", Name: "short999"}
	if r, _, err := b.Retained(t.Context(), last); r != nil || err != nil {
		t.Errorf("Retained = %v, %v, want nothing", r, err)
	}
	expectStates(t, b, 1999, 1999)

	now = now.Add(sweepInterval)
	publish("plain", 1000, 0) // reaches every stripe
	expectStates(t, b, 1010, 1000)

	for i := range 10 {
		b.Unsubscribe(protocol.Topic{App: "app", Name: fmt.Sprint("short", i)})
	}
	expectStates(t, b, 1000, 1000)
}
