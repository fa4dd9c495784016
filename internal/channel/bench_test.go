package channel_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

// quiet is a connection that throws away what it is sent.
type quiet struct{ channel.Connection }

func (*quiet) Reply(*protocol.Message)                { /* thrown away */ }
func (*quiet) ReplyPublication(*protocol.Publication) { /* thrown away */ }
func (*quiet) Terminate()                             { /* nobody is signed in */ }
func (*quiet) WriteSegments([]bufpool.Segment)        { /* thrown away */ }
func (*quiet) IsCongested(int) bool                   { return false }

func (n *node) connectQuiet() *quiet {
	c := new(quiet)
	if !n.hub.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher) {
		n.t.Fatal("socket id in use")
	}
	c.Init(n.app, c)
	return c
}

func BenchmarkSubscribe(b *testing.B) {
	for _, members := range []int{0, 100, 10_000} {
		name := "prices"
		if members > 0 {
			name = "presence-x"
		}
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			n := farNode(b, func(b bus.Bus) bus.Bus { return b }) // without what tests put before the bus
			n.app.Limits.MaxPresenceMembers = 0
			ctx := context.Background()
			for i := range max(members, 1) {
				m := protocol.Member{UserID: fmt.Sprintf("u-%d", i), Info: []byte(`{}`)}
				if err := n.Subscribe(ctx, &n.connectQuiet().Connection, name, m, nil); err != nil {
					b.Fatal(err)
				}
			}
			c := n.connectQuiet()
			m := protocol.Member{UserID: "u-0", Info: []byte(`{}`)}
			b.ReportAllocs()
			for b.Loop() {
				if err := n.Subscribe(ctx, &c.Connection, name, m, nil); err != nil {
					b.Fatal(err)
				}
				n.Unsubscribe(&c.Connection, name)
			}
		})
	}
}

func BenchmarkClientEvent(b *testing.B) {
	for _, name := range []string{"private-x", "presence-x"} {
		b.Run("channel="+name, func(b *testing.B) {
			n := farNode(b, func(b bus.Bus) bus.Bus { return b }) // without what tests put before the bus
			c := n.connectQuiet()
			if err := n.Subscribe(context.Background(), &c.Connection, name, protocol.Member{UserID: "u-9", Info: []byte(`{}`)}, nil); err != nil {
				b.Fatal(err)
			}
			cmd := &protocol.Command{Channel: name, HasChannel: true, Event: "client-typing", Data: []byte(`{"who":"Ida"}`)}
			b.ReportAllocs()
			for b.Loop() {
				if err := n.ClientEvent(context.Background(), &c.Connection, cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, channels := range []int{1, 100} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			n := farNode(b, func(b bus.Bus) bus.Bus { return b }) // without what tests put before the bus
			events := make([]channel.Event, channels)
			for i := range events {
				events[i] = channel.Event{Channel: fmt.Sprintf("c-%d", i), Name: "tick", Data: []byte(`"{\"p\":1}"`)}
				if err := n.Subscribe(context.Background(), &n.connectQuiet().Connection, events[i].Channel, protocol.Member{}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := n.Publish(context.Background(), n.app, events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
