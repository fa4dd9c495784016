package channel_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an engine on a real hub and a real bus.
type node struct {
	*channel.Engine
	t     testing.TB
	hub   *hub.Hub
	bus   *faultyBus
	local *local.Bus
	app   *app.App
}

// inNode runs test on a new node within a synctest bubble: synctest.Wait waits until
// fan-out has delivered everything.
func inNode(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, hub.Options{})
		test(t, n)
	})
}

func newNode(t testing.TB, o hub.Options) *node {
	t.Helper()
	return newNodeWith(t, o, channel.Options{}, nil)
}

func newNodeWith(t testing.TB, o hub.Options, channels channel.Options, l local.Listener) *node {
	t.Helper()
	o.Codecs = [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: pusher.Codec{}}
	h := hub.New(o)
	n := &node{t: t, hub: h, local: local.New(h, local.Options{Listener: l}), app: testApp()}
	n.bus = &faultyBus{Bus: bustest.Wrap(t, n.local), parts: map[protocol.Topic]bus.Part{}}
	n.Engine = channel.New(h, n.bus, channels)
	n.run()
	return n
}

// run delivers until the test ends.
func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.hub.Run(ctx) })
	n.t.Cleanup(func() {
		if err := n.local.Shutdown(context.Background()); err != nil {
			n.t.Errorf("shutdown: %v", err)
		}
		cancel()
		wg.Wait()
	})
}

// pass lets d pass on the clock of the bubble.
func pass(d time.Duration) { <-time.After(d) }

func testApp() *app.App {
	return &app.App{
		ID: "77", Key: "mill-key", Secret: "mill-secret", Enabled: true,
		Limits: app.Limits{
			MaxPresenceMembers: 100, MaxPresenceMemberSize: 2048, MaxChannelNameLength: 200,
			MaxEventNameLength: 200, MaxEventPayload: 10240, CacheTTL: 30 * time.Minute,
		},
		Features: app.Features{ClientEvents: true},
	}
}

// faultyBus fails the calls whose switch is on, and remembers the last part of each topic.
type faultyBus struct {
	bus.Bus
	join     atomic.Bool // ErrUnavailable
	late     atomic.Bool // Join does what it is to do, and then ErrUncertain
	watch    atomic.Bool // as join, of topics that tell of users
	state    atomic.Bool
	retained atomic.Bool // the value alone cannot be read
	publish  atomic.Bool

	mu    sync.Mutex
	parts map[protocol.Topic]bus.Part
}

func (b *faultyBus) Publish(ctx context.Context, batch *bus.Batch) (bus.Published, error) {
	if b.publish.Load() {
		return bus.Published{}, bus.ErrUnavailable
	}
	return b.Bus.Publish(ctx, batch)
}

func (b *faultyBus) Join(ctx context.Context, j bus.Join) (bus.State, error) {
	b.note(*j.Topic, j.Part)
	if b.join.Load() || b.watch.Load() && j.Topic.Kind == protocol.TopicWatch {
		return bus.State{}, bus.ErrUnavailable
	}
	st, err := b.Bus.Join(ctx, j)
	if b.late.Load() {
		return bus.State{}, bus.ErrUncertain
	}
	return b.forget(st), err
}

func (b *faultyBus) Leave(ls ...bus.Leave) {
	for i := range ls {
		b.note(ls[i].Topic, ls[i].Part)
	}
	runtime.Gosched() // lets leaves and joins overtake each other
	b.Bus.Leave(ls...)
}

func (b *faultyBus) State(ctx context.Context, t protocol.Topic) (bus.State, error) {
	if b.state.Load() {
		return bus.State{}, bus.ErrUnavailable
	}
	st, err := b.Bus.State(ctx, t)
	return b.forget(st), err
}

func (b *faultyBus) forget(st bus.State) bus.State {
	if b.retained.Load() {
		st.Retained, st.RetainedErr = nil, bus.ErrUnavailable
	}
	return st
}

// note keeps the part of the highest version.
func (b *faultyBus) note(t protocol.Topic, p bus.Part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.Version > b.parts[t].Version {
		b.parts[t] = p
	}
}

// conn is a connection that records the frames it is sent, decoded, in order.
type conn struct {
	channel.Connection
	n       *node
	onReply func(*protocol.Message) // runs after the reply is recorded

	mu         sync.Mutex
	frames     []frame
	terminated int
}

// frame is a message as a client reads it.
type frame struct {
	Event   string
	Channel string
	Data    string // text of a string, else the JSON
	UserID  string
}

func (f frame) String() string {
	s := strings.TrimPrefix(f.Event, "pusher_internal:") + " " + f.Channel + " " + f.Data
	if f.UserID != "" {
		s += " by " + f.UserID
	}
	return s
}

func (n *node) connect() *conn {
	n.t.Helper()
	c := &conn{n: n}
	if !n.hub.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher) {
		n.t.Error("socket id in use")
	}
	c.Init(n.app, c)
	return c
}

func (c *conn) Reply(m *protocol.Message) {
	c.record(pusher.Codec{}.AppendMessage(nil, m))
	if c.onReply != nil {
		c.onReply(m)
	}
}

func (c *conn) ReplyPublication(p *protocol.Publication) {
	c.record(pusher.Codec{}.AppendPublication(nil, p))
}

func (c *conn) Terminate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terminated++
}

// WriteSegments reads unmasked, unfragmented frames.
func (c *conn) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			size, head := int(b[1]), 2
			switch size {
			case 126:
				size, head = int(binary.BigEndian.Uint16(b[2:])), 4
			case 127:
				size, head = int(binary.BigEndian.Uint64(b[2:])), 10
			}
			c.record(b[head : head+size])
			b = b[head+size:]
		}
	}
}
func (*conn) IsCongested(int) bool { return false }

func (c *conn) record(payload []byte) {
	var f struct {
		Event   string          `json:"event"`
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data"`
		UserID  string          `json:"user_id"`
	}
	if err := json.Unmarshal(payload, &f); err != nil {
		c.n.t.Errorf("frame %q: %v", payload, err)
		return
	}
	data := string(f.Data)
	if strings.HasPrefix(data, `"`) {
		_ = json.Unmarshal(f.Data, &data)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, frame{f.Event, f.Channel, data, f.UserID})
}

// take waits for fan-out and returns what came since the last call.
func (c *conn) take() []frame {
	bustest.Settle()
	synctest.Wait()
	return c.taken()
}

func (c *conn) taken() []frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := c.frames
	c.frames = nil
	return frames
}

// expect compares what came since the last call with frames written as String does.
func (c *conn) expect(want ...string) {
	c.n.t.Helper()
	var got []string
	for _, f := range c.take() {
		got = append(got, f.String())
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		c.n.t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func (c *conn) subscribe(name string) *protocol.Error { return c.join(name, "", "") }

func (c *conn) join(name, userID, info string) *protocol.Error {
	return c.joinFor(name, userID, info)
}

// joinFor joins for some events only, or for all when there are none.
func (c *conn) joinFor(name, userID, info string, events ...string) *protocol.Error {
	if info == "" {
		info = `{}`
	}
	return c.n.Subscribe(context.Background(), &c.Connection, name, protocol.Member{UserID: userID, Info: []byte(info)}, protocol.NewFilter(events))
}

func (c *conn) mustJoin(name, userID string) {
	c.n.t.Helper()
	if err := c.join(name, userID, ""); err != nil {
		c.n.t.Fatalf("join %s as %q: %v", name, userID, err)
	}
}

func (c *conn) unsubscribe(name string) { c.n.Unsubscribe(&c.Connection, name) }

func (c *conn) close() { c.n.Leave(&c.Connection) }

func (c *conn) send(name, event, data string) *protocol.Error {
	cmd := &protocol.Command{Kind: protocol.CommandClientEvent, Channel: name, HasChannel: true, Event: event}
	if data != "" {
		cmd.Data = []byte(data)
	}
	return c.n.ClientEvent(context.Background(), &c.Connection, cmd)
}

func (n *node) publish(name, event, text string) {
	n.t.Helper()
	ev := channel.Event{Channel: name, Name: event, Data: jsonscan.AppendString(nil, text)}
	if err := n.Publish(context.Background(), n.app, []channel.Event{ev}); err != nil {
		n.t.Errorf("publish: %v", err)
	}
}

// Channels is that of the engine on a bus that works.
func (n *node) Channels(a *app.App, prefix string) []channel.Status {
	n.t.Helper()
	list, err := n.Engine.Channels(context.Background(), a, prefix)
	if err != nil {
		n.t.Errorf("channels: %v", err)
	}
	return list
}

// Channel is that of the engine on a bus that works.
func (n *node) Channel(a *app.App, name string) channel.Status {
	n.t.Helper()
	s, err := n.Engine.Channel(context.Background(), a, name)
	if err != nil {
		n.t.Errorf("channel: %v", err)
	}
	return s
}

// Cached is the cached event alone.
func (n *node) Cached(ctx context.Context, a *app.App, name string) (*bus.Retained, error) {
	cached, _, err := n.CachedAt(ctx, a, name)
	return cached, err
}

// Members is that of the engine on a bus that works.
func (n *node) Members(a *app.App, name string) []protocol.Member {
	n.t.Helper()
	list, err := n.Engine.Members(context.Background(), a, name)
	if err != nil {
		n.t.Errorf("members: %v", err)
	}
	return list
}

// expectEmpty fails if anything is left of any channel.
func (n *node) expectEmpty() {
	n.t.Helper()
	bustest.Settle()
	if left := n.Channels(n.app, ""); len(left) > 0 {
		n.t.Errorf("channels left: %+v", left)
	}
}

func (n *node) userIDs(name string) []string {
	var ids []string
	for _, m := range n.Members(n.app, name) {
		ids = append(ids, m.UserID)
	}
	return ids
}

// view is what a client makes of a presence channel's frames: exact, so that an event that
// changes nothing is an error.
type view struct {
	members map[string]bool
}

func (v *view) apply(f frame) error {
	var data struct {
		UserID   string `json:"user_id"`
		Presence struct {
			Count int
			IDs   []string
			Hash  map[string]json.RawMessage
		}
	}
	if strings.HasPrefix(f.Event, "pusher_internal:") {
		if err := json.Unmarshal([]byte(f.Data), &data); err != nil {
			return err
		}
	}
	switch f.Event {
	case "pusher_internal:subscription_succeeded":
		v.members = map[string]bool{}
		for _, id := range data.Presence.IDs {
			v.members[id] = true
		}
		if n := len(v.members); n != data.Presence.Count || n != len(data.Presence.IDs) || n != len(data.Presence.Hash) {
			return fmt.Errorf("inconsistent list: %s", f.Data)
		}
	case "pusher_internal:member_added":
		if v.members == nil || v.members[data.UserID] {
			return fmt.Errorf("added %q, who is a member of %v", data.UserID, v.ids())
		}
		v.members[data.UserID] = true
	case "pusher_internal:member_removed":
		if !v.members[data.UserID] {
			return fmt.Errorf("removed %q, who is no member of %v", data.UserID, v.ids())
		}
		delete(v.members, data.UserID)
	}
	return nil
}

func (v *view) ids() []string {
	var ids []string
	for id := range v.members {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
