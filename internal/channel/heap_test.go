package channel_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// subscriptionBytes is how much of the heap each of many subscriptions of one connection takes, to
// channels without other subscribers. Names of channels are as long as they may be by default.
// member is what it says about its user in the n-th.
func subscriptionBytes(t *testing.T, prefix string, member func(n int) protocol.Member) int {
	t.Helper()
	const many, longName = 10_000, 200
	h := hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: pusher.Codec{}}})
	b := local.New(h, local.Options{})
	n := &node{t: t, hub: h, local: b, Engine: channel.New(h, b, channel.Options{}), app: testApp()}
	n.run()
	c := n.connectQuiet()
	subscribe := func(i int) {
		name := fmt.Sprint(prefix, i, "-")
		name += strings.Repeat("x", longName-len(name))
		if err := n.Subscribe(context.Background(), &c.Connection, name, member(i), nil); err != nil {
			t.Fatal(err)
		}
		for h.Inboxes().Used() > 0 {
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
	const longID, longInfo = 128, 2 << 10
	same := func(int) protocol.Member {
		return protocol.Member{UserID: strings.Repeat("u", longID), Info: []byte(strings.Repeat("x", longInfo))}
	}
	another := func(n int) protocol.Member {
		return protocol.Member{UserID: fmt.Sprint("user-", n), Info: []byte("{}")}
	}
	for _, tt := range []struct {
		name   string
		prefix string
		member func(int) protocol.Member
		most   int
	}{
		{"a public channel", "", same, 510},
		{"a presence channel", "presence-", same, 545},
		{"a presence channel, each as another user", "presence-", another, 600},
	} {
		got := subscriptionBytes(t, tt.prefix, tt.member)
		t.Logf("each subscription to %s takes %d bytes", tt.name, got)
		if got > tt.most {
			t.Errorf("each subscription to %s takes %d bytes, want at most %d", tt.name, got, tt.most)
		}
	}
}
