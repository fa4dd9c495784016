package view_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/view"
	"github.com/millrace/millrace/internal/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const app = "app"

// node is an engine on a real hub, bus and owner of entities.
type node struct {
	*view.Engine
	*definition.Catalog
	t        testing.TB
	hub      *hub.Hub
	entities *owner.Owner
	state    *entity.State
	stop     func()
}

// setup is how a node is made.
type setup struct {
	hub      hub.Options
	entities owner.Options
	views    view.Options
	catalog  definition.Options
	isIdle   bool // the hub does not deliver: everything stays on its way
}

// inNode runs test on a new node within a synctest bubble: synctest.Wait waits until fan-out
// has delivered everything.
func inNode(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()
	inNodeWith(t, setup{}, test)
}

func inNodeWith(t *testing.T, s setup, test func(t *testing.T, n *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, s)
		defer n.stop()
		test(t, n)
	})
}

func newNode(t testing.TB, s setup) *node {
	t.Helper()
	s.hub.Codecs = [protocol.NumVariants]protocol.Codec{protocol.VariantViews: views.Codec{}}
	h := hub.New(s.hub)
	b := local.NewOrder(h)
	if s.entities.MaxArray == 0 {
		s.entities.MaxArray = 1 << 20
	}
	state := entity.NewState(nil)
	entities := owner.New(state, s.entities)
	n := &node{Engine: view.New(state, h, b, s.views), t: t, hub: h, entities: entities, state: state}
	n.Catalog = definition.NewCatalog(n.Engine, s.catalog)
	if err := entities.Load(context.Background()); err != nil {
		t.Fatalf("load: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	if !s.isIdle {
		wg.Go(func() { _ = h.Run(ctx) })
	}
	wg.Go(func() { _ = entities.Run(ctx, n) })
	n.stop = func() {
		cancel()
		wg.Wait()
	}
	n.Open(app)
	return n
}

// Read reads as the app's own server does.
func (n *node) Read(app string, r *protocol.ViewRequest, rows int) (*view.Result, *protocol.Issue) {
	return n.Engine.Read(app, r, view.Limits{MaxRows: rows, Clearance: access.Server})
}

func (n *node) define(definition string) {
	n.t.Helper()
	if err := n.tryDefine(definition); err != nil {
		n.t.Fatalf("define %s: %v", definition, err)
	}
}

func (n *node) tryDefine(definition string) error {
	d, err := query.Parse([]byte(definition))
	if err != nil {
		return err
	}
	return n.Define(context.Background(), app, d, false)
}

// mutation reads "Auction lot-9 patch {...} path,path".
func mutation(text string) entity.Mutation {
	f := strings.SplitN(text, " ", 5)
	m := entity.Mutation{Type: f[0], Key: f[1]}
	switch f[2] {
	case "upsert":
		m.Op = entity.OpUpsert
	case "delete":
		m.Op = entity.OpDelete
		return m
	}
	m.Data = []byte(f[3])
	if len(f) > 4 {
		m.Append = strings.Split(f[4], ",")
	}
	return m
}

// apply applies one batch and lets everything be delivered.
func (n *node) apply(mutations ...string) entity.Seq {
	n.t.Helper()
	b := &entity.Batch{App: app}
	for _, m := range mutations {
		b.Mutations = append(b.Mutations, mutation(m))
	}
	return n.applyBatch(b)
}

func (n *node) applyBatch(b *entity.Batch) entity.Seq {
	n.t.Helper()
	seq, err := n.Apply(b)
	if err != nil {
		n.t.Fatalf("apply: %v", err)
	}
	synctest.Wait()
	return seq
}

// origin is a position before everything that is applied from now on.
func (n *node) origin() string {
	n.t.Helper()
	return n.apply(`Origin o upsert {}`).String()
}

// Apply hands b to the entities.
func (n *node) Apply(b *entity.Batch) (entity.Seq, error) {
	return n.entities.Apply(context.Background(), b)
}

// conn is a connection as a client sees it: frames, in order, and the store that the
// TypeScript client makes of them.
type conn struct {
	hub.Subscriber
	view.Connection
	n *node

	mu       sync.Mutex
	frames   []frame
	raw      [][]byte
	store    store
	room     int  // frames that are taken before it is congested; below zero: any number
	isAsked  bool // it said that it is congested
	isClosed bool // CloseSlow

	onReply func(*protocol.Message) // runs after the reply is recorded
}

// store is the rows of each view, by key.
type store map[string]map[string]any

// frame is a message of the server.
type frame struct {
	Op       string          `json:"op"`
	Mode     string          `json:"mode"`
	View     string          `json:"view"`
	Entity   string          `json:"entity"`
	Key      *string         `json:"key"`
	Data     json.RawMessage `json:"data"`
	Append   []string        `json:"append"`
	Seq      string          `json:"seq"`
	Complete bool            `json:"complete"`
	Whole    *bool           `json:"whole"` // of the first frame of a snapshot
	Deleted  []string        `json:"deleted"`
	Sort     *struct {
		Field []string `json:"field"`
		Order string   `json:"order"`
	} `json:"sort"`
}

// rows of a snapshot.
func (f *frame) rows() []row {
	var rows []row
	if f.Op == "snapshot" {
		_ = json.Unmarshal(f.Data, &rows)
	}
	return rows
}

type row struct {
	Key  string
	Data any
}

// String is short: _seq is left out, as is what stands in the view's name.
func (f frame) String() string {
	switch f.Op {
	case "subscribed":
		s := "subscribed " + f.View + " " + f.Mode
		if f.Sort != nil {
			s += " by " + strings.Join(f.Sort.Field, ".") + " " + f.Sort.Order
		}
		return s
	case "snapshot":
		words := []string{"snapshot", f.Entity}
		if f.Whole != nil && !*f.Whole {
			words[0] = "changes"
		}
		for _, r := range f.rows() {
			words = append(words, r.Key+":"+plain(r.Data))
		}
		for _, key := range f.Deleted {
			words = append(words, "-"+key)
		}
		if f.Complete {
			words = append(words, "complete")
		}
		return strings.Join(words, " ")
	}
	s := f.Op + " " + f.Entity + " " + *f.Key
	if f.Op != "delete" {
		var data any
		_ = json.Unmarshal(f.Data, &data)
		s += " " + plain(data)
	}
	if len(f.Append) > 0 {
		s += " +" + strings.Join(f.Append, ",")
	}
	return s
}

// plain is a row without its cursor.
func plain(data any) string {
	if m, ok := data.(map[string]any); ok {
		m = maps.Clone(m)
		delete(m, "_seq")
		data = m
	}
	text, _ := json.Marshal(data)
	return string(text)
}

func (n *node) connect() *conn {
	n.t.Helper()
	c := &conn{n: n, room: -1, store: store{}}
	if !n.hub.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantViews) {
		n.t.Fatal("socket id in use")
	}
	c.Init(app, &c.Subscriber, replier{c})
	return c
}

func (c *conn) leave() {
	c.n.Leave(&c.Connection)
	c.Detach()
}

// replier is the way of direct messages to a conn.
type replier struct{ c *conn }

func (r replier) Reply(m *protocol.Message) {
	r.c.record(views.Codec{}.AppendMessage(nil, m))
	if r.c.onReply != nil {
		r.c.onReply(m)
	}
}

func (r replier) ReplyPublication(p *protocol.Publication) {
	r.c.record(views.Codec{}.AppendPublication(nil, p))
}
func (r replier) IsCongested() bool { return r.c.IsCongested(1) }

func (r replier) CloseSlow() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.c.isClosed {
		r.c.n.t.Error("CloseSlow was called twice")
	}
	r.c.isClosed = true
}

// WriteSegments implements hub.Conn.
func (c *conn) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			h, n, err := websocket.ParseHeader(b)
			if err != nil || h.Op != websocket.OpBinary {
				c.n.t.Errorf("frame %+v, %v: want a binary one", h, err)
				return
			}
			c.record(b[n : n+h.Length])
			b = b[n+h.Length:]
		}
	}
}

// IsCongested implements hub.Conn.
func (c *conn) IsCongested(int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == 0 {
		c.isAsked = true
	}
	return c.room == 0
}

// give lets the connection take so many frames more, and goes on if it had said that it was
// congested.
func (c *conn) give(room int) {
	c.mu.Lock()
	c.room = room
	isAsked := c.isAsked
	c.isAsked = false
	c.mu.Unlock()
	if isAsked {
		c.n.Resume(&c.Connection)
	}
}

func (c *conn) record(payload []byte) {
	payload = bytes.Clone(payload)
	if bytes.HasPrefix(payload, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(payload))
		if err == nil {
			payload, err = io.ReadAll(z)
		}
		if err != nil {
			c.n.t.Errorf("gzip: %v", err)
		}
	}
	var f frame
	if err := json.Unmarshal(payload, &f); err != nil {
		c.n.t.Errorf("%s: %v", payload, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room > 0 {
		c.room--
	}
	c.frames = append(c.frames, f)
	c.raw = append(c.raw, payload)
	if err := c.store.apply(&f); err != nil {
		c.n.t.Errorf("%v: %v", f, err)
	}
}

// apply does what the TypeScript client does with a frame (views 8.1).
func (s store) apply(f *frame) error {
	if f.Op == "subscribed" {
		return nil
	}
	rows := s[f.Entity]
	if rows == nil {
		rows = map[string]any{}
		s[f.Entity] = rows
	}
	if f.Op == "snapshot" {
		for _, r := range f.rows() {
			rows[r.Key] = r.Data
		}
		return nil
	}
	if f.Op == "delete" {
		delete(rows, *f.Key)
		return nil
	}
	var data any
	if err := json.Unmarshal(f.Data, &data); err != nil {
		return err
	}
	if f.Op == "patch" {
		data = merge(rows[*f.Key], data, f.Append, "")
	}
	rows[*f.Key] = data
	return nil
}

func merge(old, patch any, appended []string, path string) any {
	switch p := patch.(type) {
	case map[string]any:
		o, ok := old.(map[string]any)
		if !ok {
			return patch
		}
		merged := maps.Clone(o)
		for name, value := range p {
			below := name
			if path != "" {
				below = path + "." + name
			}
			if had, ok := o[name]; ok {
				value = merge(had, value, appended, below)
			}
			merged[name] = value
		}
		return merged
	case []any:
		if o, ok := old.([]any); ok && slices.Contains(appended, path) {
			return append(slices.Clone(o), p...)
		}
	}
	return patch
}

// request reads "Auction/top key=x take=2 skip=1 after=... limit=2 nosnapshot".
func request(text string) *protocol.ViewRequest {
	f := strings.Fields(text)
	r := &protocol.ViewRequest{View: f[0]}
	for _, option := range f[1:] {
		name, value, _ := strings.Cut(option, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "key":
			r.Key = &value
		case "take":
			r.Take = &n
		case "skip":
			r.Skip = n
		case "after":
			r.After = &value
		case "limit":
			r.SnapshotLimit = &n
		case "nosnapshot":
			r.NoSnapshot = true
		default:
			panic("request: " + option)
		}
	}
	return r
}

// subscribe returns the code of the issue, if there was one.
func (c *conn) subscribe(text string) string { return c.subscribeWithin(text, 0) }

func (c *conn) subscribeWithin(text string, rows int) string {
	issue := c.n.Subscribe(&c.Connection, request(text), view.Limits{MaxRows: rows, Clearance: access.Server})
	switch {
	case issue == nil:
		return ""
	case view.IsUnknownView(issue):
		return "unknown view"
	default:
		return issue.Code
	}
}

func (c *conn) unsubscribe(text string) bool {
	r := request(text)
	return c.n.Unsubscribe(&c.Connection, r.View, r.Key)
}

// take returns the frames since the last take.
func (c *conn) take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, f := range c.frames {
		all = append(all, f.String())
	}
	c.frames, c.raw = nil, nil
	return all
}

func (c *conn) expect(want ...string) {
	c.n.t.Helper()
	if diff := cmp.Diff(want, c.take()); diff != "" {
		c.n.t.Errorf("frames differ (-want +got):\n%s", diff)
	}
}

// lot is a mutation of an auction.
func lot(key, data string) string { return fmt.Sprintf("Auction %s patch %s", key, data) }

const top = `{"id":"Auction/top","source":"Auction/list","sort":[{"field":"bid.amount","order":"desc"}],"limit":3}`

// amounts makes lots with bids: "a1 b2".
func (n *node) amounts(text string) {
	n.t.Helper()
	for f := range strings.FieldsSeq(text) {
		n.apply(lot(f[:1], `{"bid":{"amount":`+f[1:]+`}}`))
	}
}

func amount(key string, n string) string { return key + `:{"bid":{"amount":` + n + `}}` }
