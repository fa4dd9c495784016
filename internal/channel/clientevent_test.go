package channel_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

func TestClientEventIsRelayedAsSent(t *testing.T) { // E01 to E05, E15
	t.Parallel()
	tests := []struct {
		title, channel, data, want string
	}{
		{"an object", "private-x", `{"b":1,"a":[]}`, `client-a private-x {"b":1,"a":[]}`},
		{"space in it", "private-x", `{ "b" : 1 }`, `client-a private-x { "b" : 1 }`},
		{"keys that mean something elsewhere", "private-x", `{"channel":"y","user_data":1,"channel_data":2}`, `client-a private-x {"channel":"y","user_data":1,"channel_data":2}`},
		{"a string", "private-x", `"{\"a\":1}"`, `client-a private-x {"a":1}`},
		{"no data", "private-x", ``, `client-a private-x `},
		{"a private cache channel", "private-cache-x", `1`, `client-a private-cache-x 1`},
		{"a presence channel names the sender", "presence-x", `1`, `client-a presence-x 1 by u-9`},
		{"a presence cache channel names the sender", "presence-cache-x", `1`, `client-a presence-cache-x 1 by u-9`},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				a, b := n.connect(), n.connect()
				a.mustJoin(test.channel, "u-9")
				b.mustJoin(test.channel, "u-9")
				a.take()
				b.take()
				if err := a.send(test.channel, "client-a", test.data); err != nil {
					t.Fatal(err)
				}
				b.expect(test.want)
				a.expect()
			})
		})
	}
}

// TestClientEventIsEchoed: protocol V2 lets a sender receive its own event (v2 2.6).
func TestClientEventIsEchoed(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("presence-x", "u-9")
		b.mustJoin("presence-x", "u-3")
		a.take()
		b.take()
		for i, isEchoed := range []bool{true, false} {
			data := strconv.Itoa(i)
			cmd := &protocol.Command{Channel: "presence-x", HasChannel: true, Event: "client-a", Data: []byte(data), IsEchoed: isEchoed}
			if err := n.ClientEvent(context.Background(), &a.Connection, cmd); err != nil {
				t.Fatal(err)
			}
			want := "client-a presence-x " + data + " by u-9"
			b.expect(want)
			if isEchoed {
				a.expect(want)
			}
			a.expect()
		}
	})
}

func TestClientEventOwnsItsData(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("private-x", "")
		b.mustJoin("private-x", "")
		b.take()
		data := []byte(`"one"`)
		cmd := &protocol.Command{Channel: "private-x", HasChannel: true, Event: "client-a", Data: data}
		if err := n.ClientEvent(context.Background(), &a.Connection, cmd); err != nil {
			t.Fatal(err)
		}
		copy(data, `"two"`)
		b.expect("client-a private-x one")
	})
}

func TestClientEventIsRefused(t *testing.T) { // E06 to E08, E12, E13
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	on := func(name, event, data string) *protocol.Command {
		return &protocol.Command{Channel: name, HasChannel: true, Event: event, Data: []byte(data)}
	}
	tests := []struct {
		title   string
		off     bool
		cmd     *protocol.Command
		message string // "" when it is to be delivered
	}{
		{"delivered as long as nothing is wrong", false, on("private-x", "client-a", `1`), ""},
		{"client events are off", true, on("private-x", "client-a", `1`), "off for this app"},
		{"off comes before a missing channel", true, &protocol.Command{Event: "client-a"}, "off for this app"},
		{"no channel", false, &protocol.Command{Event: "client-a"}, "no channel"},
		{"no channel comes before a long name", false, &protocol.Command{Event: text(201)}, "no channel"},
		{"a name of 200 bytes", false, on("private-x", "client-"+text(193), `1`), ""},
		{"a name of 201 bytes", false, on("private-x", "client-"+text(194), `1`), "at most 200"},
		{"a long name comes before the kind", false, on("prices", text(201), `1`), "at most 200"},
		{"a public channel", false, on("prices", "client-a", `1`), "private or presence"},
		{"a cache channel", false, on("cache-x", "client-a", `1`), "private or presence"},
		{"an encrypted channel", false, on("private-encrypted-x", "client-a", `1`), "private or presence"},
		{"an encrypted cache channel", false, on("private-encrypted-cache-x", "client-a", `1`), "private or presence"},
		{"a user channel", false, on("#server-to-user-u-9", "client-a", `1`), "private or presence"},
		{"the kind comes before the size", false, on("prices", "client-a", `"`+text(10241)+`"`), "private or presence"},
		{"a string of 10240 bytes", false, on("private-x", "client-a", `"`+text(10240)+`"`), ""},
		{"a string of 10241 bytes", false, on("private-x", "client-a", `"`+text(10241)+`"`), "10240 bytes"},
		{"an escaped string of 10240 bytes", false, on("private-x", "client-a", `"`+strings.Repeat(`\n`, 10240)+`"`), ""},
		{"an object of 10240 bytes", false, on("private-x", "client-a", `{"a":"`+text(10232)+`"}`), ""},
		{"an object of 10240 bytes and space", false, on("private-x", "client-a", ` { "a" : "`+text(10232)+`" } `), ""},
		{"an object of 10241 bytes", false, on("private-x", "client-a", `{"a":"`+text(10233)+`"}`), "10240 bytes"},
		{"the size comes before the subscription", false, on("private-y", "client-a", `"`+text(10241)+`"`), "10240 bytes"},
		{"a channel without subscription", false, on("private-y", "client-a", `1`), "Subscribe"},
		{"a channel with an impossible name", false, on("private-\x00", "client-a", `1`), "Subscribe"},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.app.Features.ClientEvents = !test.off
				a, b := n.connect(), n.connect()
				for _, name := range []string{"private-x", "prices", "cache-x", "private-encrypted-x", "private-encrypted-cache-x"} {
					a.mustJoin(name, "")
					b.mustJoin(name, "")
				}
				b.mustJoin("private-y", "")
				b.take()
				err := n.ClientEvent(context.Background(), &a.Connection, test.cmd)
				got := b.take()
				if test.message == "" {
					if err != nil || len(got) != 1 {
						t.Errorf("got %v, %d frames", err, len(got))
					}
					return
				}
				if err == nil || err.Code != 4301 || !strings.Contains(err.Message, test.message) {
					t.Errorf("got %v, want 4301 with %q", err, test.message)
				}
				if len(got) > 0 {
					t.Errorf("delivered %v", got)
				}
			})
		})
	}
}

func TestClientEventsKeepTheirOrder(t *testing.T) { // E10
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("private-x", "")
		b.mustJoin("private-x", "")
		b.take()
		var want []string
		for i := range 500 {
			if err := a.send("private-x", "client-a", strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("client-a private-x %d", i))
		}
		b.expect(want...)
	})
}

func TestClientEventWhenTheBusIsDown(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a := n.connect()
		a.mustJoin("private-x", "")
		n.bus.publish.Store(true)
		if err := a.send("private-x", "client-a", `1`); err == nil || err.Code != 4301 || strings.Contains(err.Message, bus.ErrUnavailable.Error()) {
			t.Errorf("got %v", err)
		}
	})
}
