package view_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/view"
)

// quiet is a connection that throws away what it is sent, or takes nothing.
type quiet struct {
	view.Connection
	subscriber hub.Subscriber
	n          *node
	isFull     atomic.Bool // it takes nothing
	isSlow     bool        // it takes something now and then
}

func (n *node) quiet() *quiet {
	n.t.Helper()
	c := &quiet{n: n}
	if !n.hub.Attach(&c.subscriber, quietConn{c}, protocol.NewSocketID(), protocol.VariantViews) {
		n.t.Fatal("socket id in use")
	}
	c.Init(app, &c.subscriber, c)
	return c
}

func (*quiet) Reply(*protocol.Message)                { /* thrown away */ }
func (*quiet) ReplyPublication(*protocol.Publication) { /* thrown away */ }
func (*quiet) CloseSlow()                             { /* it stays */ }
func (c *quiet) IsCongested() bool                    { return c.isFull.Load() }

// quietConn is a quiet connection as the hub sees it.
type quietConn struct{ c *quiet }

func (quietConn) WriteSegments([]bufpool.Segment) { /* thrown away */ }
func (q quietConn) IsCongested(int) bool          { return q.c.isFull.Load() }

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
		{"a type that there is not", 1300, func(i int) string {
			return fmt.Sprintf(`{"type":"subscribe","view":"T%d%s/list"}`, i, strings.Repeat("x", 35))
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

// TestBusyWindowsRememberLittle is not parallel: it measures the heap of the process. One connection
// has many windows of a view in which every change concerns all of them.
func TestBusyWindowsRememberLittle(t *testing.T) {
	const windows, changes, most = 1000, 300, 2 << 20
	for _, tt := range []struct {
		name string
		do   func(c *quiet)
	}{
		{"that are taken", func(*quiet) {}},
		{"that are not taken", func(c *quiet) { c.isFull.Store(true) }},
		{"that wait for their snapshots", func(c *quiet) {
			c.isFull.Store(true)
			for i := range windows {
				c.unsubscribe(windowKey(i))
				c.subscribe(windowKey(i))
			}
		}},
		{"that are taken now and then", func(c *quiet) { c.isSlow = true }},
	} {
		n := newNode(t, setup{})
		n.define(`{"id":"Lamp/bright","source":"Lamp/list","sort":[{"field":"watts"}]}`)
		for i := range windows + 20 {
			n.change(`Lamp lamp%d upsert {"watts":%d}`, i, i)
		}
		c := n.quiet()
		for i := range windows {
			c.subscribe(windowKey(i))
		}
		before := heap()
		tt.do(c)
		for i := range changes {
			n.change(`Lamp lamp0 upsert {"watts":%d}`, i%2*1000)
			c.goOn(i)
		}
		n.flush() // as many as may wait for the hub are remembered
		n.change(`Lamp lamp0 upsert {"watts":%d}`, 500)
		n.flush()
		heap() // twice, so that what pools keep goes
		got := int(heap() - before)
		runtime.KeepAlive(c)
		n.stop()
		t.Logf("%d windows %s hold %d bytes", windows, tt.name, got)
		if got > most {
			t.Errorf("%d windows %s hold %d bytes after %d changes, want at most %d", windows, tt.name, got, changes, most)
		}
	}
}

// TestReplacedWindowsHoldLittle is not parallel: it measures the heap of the process.
func TestReplacedWindowsHoldLittle(t *testing.T) {
	const windows, rows, most = 200, 2000, 1 << 20
	n := newNode(t, setup{})
	defer n.stop()
	n.define(`{"id":"Lamp/bright","source":"Lamp/list","sort":[{"field":"watts"}]}`)
	for i := range rows {
		n.change(`Lamp lamp%d upsert {"watts":%d}`, i, i)
	}
	c := n.quiet()
	for i := range windows {
		c.subscribe(fmt.Sprintf("Lamp/bright key=%d take=%d", i, rows))
	}
	before := heap()
	c.isFull.Store(true)
	for i := range windows {
		c.subscribe(fmt.Sprintf("Lamp/bright key=%d take=%d", i, rows-1))
	}
	got := int(heap() - before)
	runtime.KeepAlive(c)
	if got > most {
		t.Errorf("%d windows that wait and replace others hold %d bytes, want at most %d", windows, got, most)
	}
}

func windowKey(i int) string { return fmt.Sprintf("Lamp/bright take=10 skip=%d key=%d", i, i) }

// change applies one mutation, when there is room for what it publishes.
func (n *node) change(format string, args ...any) {
	n.t.Helper()
	b := &entity.Batch{App: app, Mutations: []entity.Mutation{mutation(fmt.Sprintf(format, args...))}}
	if err := n.Reserve(n.t.Context(), b); err != nil {
		n.t.Fatalf("reserve: %v", err)
	}
	if _, err := n.Apply(b); err != nil {
		n.t.Fatalf("apply: %v", err)
	}
}

// flush waits until everything that was published is with the connections.
func (n *node) flush() {
	n.t.Helper()
	if err := n.hub.Flush(n.t.Context()); err != nil {
		n.t.Fatalf("flush: %v", err)
	}
}

// goOn lets a slow connection take something after some changes.
func (c *quiet) goOn(changes int) {
	if c.isSlow && changes%50 == 0 {
		c.isFull.Store(false)
		c.n.Resume(&c.Connection)
		c.isFull.Store(true)
	}
}
