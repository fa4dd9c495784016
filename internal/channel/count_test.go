package channel_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bus/bustest"
)

func countFrame(name string, count int) string {
	return fmt.Sprintf(`subscription_count %s {"subscription_count":%d}`, name, count)
}

func TestSubscriptionCounts(t *testing.T) { // K08
	t.Parallel()
	bustest.SkipIfSlow(t)
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		a, b, c := n.connect(), n.connect(), n.connect()
		a.mustJoin("prices", "")
		a.expect("subscription_succeeded prices {}", countFrame("prices", 1)) // at once
		b.mustJoin("prices", "")
		c.mustJoin("prices", "")
		b.expect("subscription_succeeded prices {}")
		pass(999 * time.Millisecond)
		a.expect()
		pass(time.Millisecond)
		a.expect(countFrame("prices", 3)) // the latest, one second after the last
		b.expect(countFrame("prices", 3))
		pass(time.Hour)
		a.expect()
		c.close()
		a.expect(countFrame("prices", 2))
		b.unsubscribe("prices")
		pass(time.Second)
		a.expect(countFrame("prices", 1))
		b.expect(countFrame("prices", 2))
	})
}

func TestSubscriptionCountsOfLargeChannels(t *testing.T) {
	t.Parallel()
	bustest.SkipIfSlow(t)
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		a := n.connect()
		a.mustJoin("prices", "")
		a.take()
		for range 100 {
			n.connect().mustJoin("prices", "")
		}
		// Armed for a second when it was small, it waits on now that it is large.
		pass(4999 * time.Millisecond)
		a.expect()
		pass(time.Millisecond)
		a.expect(countFrame("prices", 101))
		n.connect().mustJoin("prices", "")
		pass(4 * time.Second)
		a.expect()
		pass(time.Second)
		a.expect(countFrame("prices", 102))
	})
}

func TestNoSubscriptionCounts(t *testing.T) { // K09, K10
	t.Parallel()
	tests := []struct {
		title, channel string
		on             bool
	}{
		{"presence channels have none", "presence-x", true},
		{"presence cache channels have none", "presence-cache-x", true},
		{"apps without the feature have none", "prices", false},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.app.Features.SubscriptionCount = test.on
				a, b := n.connect(), n.connect()
				a.mustJoin(test.channel, "u-9")
				b.mustJoin(test.channel, "u-9")
				a.take()
				pass(time.Minute)
				a.expect()
			})
		})
	}
}

func TestEmptiedChannelDropsItsNotice(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		a, b := n.connect(), n.connect()
		a.mustJoin("prices", "")
		b.mustJoin("prices", "") // arms
		a.close()
		b.close()
		b = n.connect()
		b.mustJoin("prices", "") // a new entry begins anew
		b.expect("subscription_succeeded prices {}", countFrame("prices", 1))
		pass(time.Minute)
		b.expect()
	})
}
