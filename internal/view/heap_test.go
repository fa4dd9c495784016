package view_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/view"
)

// quiet is a connection that throws away what it is sent.
type quiet struct {
	view.Connection
	subscriber hub.Subscriber
	n          *node
}

func (n *node) quiet() *quiet {
	n.t.Helper()
	c := &quiet{n: n}
	if !n.hub.Attach(&c.subscriber, quietConn{}, protocol.NewSocketID(), protocol.VariantViews) {
		n.t.Fatal("socket id in use")
	}
	c.Init(app, &c.subscriber, c)
	return c
}

func (*quiet) Reply(*protocol.Message)                { /* thrown away */ }
func (*quiet) ReplyPublication(*protocol.Publication) { /* thrown away */ }
func (*quiet) CloseSlow()                             { /* it is never slow */ }
func (*quiet) WriteSegments([]bufpool.Segment)        { /* thrown away */ }
func (*quiet) IsCongested() bool                      { return false }

// quietConn is a quiet connection as the hub sees it.
type quietConn struct{}

func (quietConn) WriteSegments([]bufpool.Segment) { /* thrown away */ }
func (quietConn) IsCongested(int) bool            { return false }

// subscriptionBytes is how much of the heap each of many subscriptions of one connection takes, of
// which no two are to the same topic. request is the message that asks for the n-th.
func subscriptionBytes(t *testing.T, n *node, request func(i int) string) int {
	t.Helper()
	const many = 10_000
	c := n.quiet()
	subscribe := func(i int) {
		cmd, err := views.Codec{}.Decode([]byte(request(i)))
		if err != nil {
			t.Fatal(err)
		}
		if i := n.Subscribe(&c.Connection, cmd.View, view.Limits{Clearance: access.Server}); i != nil {
			t.Fatal(i)
		}
	}
	for i := range 100 { // the engine warms up
		subscribe(i)
	}
	before := heap()
	for i := range many {
		subscribe(100 + i)
	}
	bytes := int(heap()-before) / many
	runtime.KeepAlive(c)
	return bytes
}

// TestASubscriptionTakesLittle is not parallel: it measures the heap of the process.
func TestASubscriptionTakesLittle(t *testing.T) {
	key := func(i int) string {
		k := fmt.Sprint(i, "-")
		return k + strings.Repeat("x", 40-len(k))
	}
	for _, tt := range []struct {
		name    string
		most    int
		request func(i int) string
	}{
		{"a key of a base view", 420, func(i int) string {
			return fmt.Sprintf(`{"type":"subscribe","view":"Lamp/state","key":"%s"}`, key(i))
		}},
		{"a key of a base view, with a position", 490, func(i int) string {
			return fmt.Sprintf(`{"type":"subscribe","view":"Lamp/list","key":"%s","after":"1700000000000:000000000001","snapshotLimit":100}`, key(i))
		}},
		{"a window of a derived view", 600, func(i int) string {
			return fmt.Sprintf(`{"type":"subscribe","view":"Lamp/bright","key":"%s","take":10,"skip":%d}`, key(i), i)
		}},
	} {
		n := newNode(t, setup{})
		n.define(`{"id":"Lamp/bright","source":"Lamp/list","sort":[{"field":"watts"}]}`)
		got := subscriptionBytes(t, n, tt.request)
		n.stop()
		t.Logf("%s takes %d bytes", tt.name, got)
		if got > tt.most {
			t.Errorf("%s takes %d bytes, want at most %d", tt.name, got, tt.most)
		}
	}
}
