package channel_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// subscriptionBytes is how much of the heap each of many subscriptions of one connection takes, to
// channels without other subscribers. Names of channels and what the connection says about its
// user are as long as they may be by default.
func subscriptionBytes(t *testing.T, prefix string) int {
	t.Helper()
	const many, longName, longID, longInfo = 10_000, 200, 128, 2 << 10
	h := hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: pusher.Codec{}}})
	e := channel.New(h, bus.NewLocal(h, nil), channel.Options{})
	n := &node{t: t, hub: h, Engine: e, app: testApp()}
	n.run()
	c := n.connectQuiet()
	subscribe := func(i int) {
		name := fmt.Sprint(prefix, i, "-")
		name += strings.Repeat("x", longName-len(name))
		m := protocol.Member{UserID: strings.Repeat("u", longID), Info: []byte(strings.Repeat("x", longInfo))}
		if err := n.Subscribe(context.Background(), &c.Connection, name, m, nil); err != nil {
			t.Fatal(err)
		}
		for h.Waiting() > 0 {
			runtime.Gosched() // until the flusher has let go of what was published
		}
	}
	used := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for i := range 100 { // a few say what they say once each, and the engine warms up
		subscribe(i)
	}
	before := used()
	for i := range many {
		subscribe(100 + i)
	}
	bytes := (used() - before) / many
	runtime.KeepAlive(c)
	return bytes
}

// TestASubscriptionTakesLittle is not parallel: it measures the heap of the process. 208 bytes of
// each are the name of the channel.
func TestASubscriptionTakesLittle(t *testing.T) {
	for prefix, most := range map[string]int{"": 550, "presence-": 650} {
		got := subscriptionBytes(t, prefix)
		t.Logf("each subscription to %q takes %d bytes", prefix, got)
		if got > most {
			t.Errorf("each subscription to %q takes %d bytes, want at most %d", prefix, got, most)
		}
	}
}
