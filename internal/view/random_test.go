package view_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/view"
)

// text is a value in canonical JSON.
func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func normal(data []byte) string {
	var v any
	_ = json.Unmarshal(data, &v)
	return text(v)
}

// naive is a derived view as one would write it without caring for speed.
type naive struct {
	definition string // of the view %s
	source     string // id
	matches    func(object) bool
	less       func(a, b entry) int
	limit      int // below zero: none
	fields     []string
	row        func([]entry) object // aggregates
}

type object = map[string]any

// entry is an entity.
type entry struct {
	key    string
	number uint64
	data   object
}

func num(o object, name string) float64 {
	n, _ := o[name].(float64)
	return n
}

// byNumber orders by a member that is always a number or missing, which comes before all
// numbers.
func byNumber(name string, desc bool) func(a, b entry) int {
	return func(a, b entry) int {
		rank := func(e entry) float64 {
			if e.data[name] == nil {
				return -1e9
			}
			return num(e.data, name)
		}
		c := cmp.Compare(rank(a), rank(b))
		if desc {
			c = -c
		}
		return cmp.Or(c, strings.Compare(a.key, b.key))
	}
}

func latestFirst(a, b entry) int { return cmp.Compare(b.number, a.number) }

func isOpen(o object) bool { return o["open"] == true }

// variants are the definitions that a random run chooses from, by the place of the view:
// each derives only from places before it.
func variants() map[string][]naive {
	return map[string][]naive{
		"V/1": {
			{definition: `"source":"T/list","sort":[{"field":"n","order":"desc"}],"limit":3`, source: "T/list", less: byNumber("n", true), limit: 3},
			{definition: `"source":"T/list","sort":[{"field":"n"}],"limit":5`, source: "T/list", less: byNumber("n", false), limit: 5},
			{
				definition: `"source":"U/list","filter":{"field":"open","op":"eq","value":true}`, source: "U/list",
				matches: isOpen, less: latestFirst, limit: -1,
			},
		},
		"V/2": {
			{
				definition: `"source":"T/list","filter":{"field":"open","op":"eq","value":true}`, source: "T/list",
				matches: isOpen, less: latestFirst, limit: -1,
			},
			{
				definition: `"source":"T/list","filter":{"field":"n","op":"gte","value":3},"sort":[{"field":"m"}],"limit":2,"fields":["m","n"]`, source: "T/list",
				matches: func(o object) bool { return num(o, "n") >= 3 }, less: byNumber("m", false), limit: 2, fields: []string{"m", "n"},
			},
		},
		"V/3": {
			{definition: `"source":"V/1","sort":[{"field":"m"}],"limit":2`, source: "V/1", less: byNumber("m", false), limit: 2},
			{definition: `"source":"V/1","fields":["n"]`, source: "V/1", less: latestFirst, limit: -1, fields: []string{"n"}},
			{definition: `"source":"V/2","sort":[{"field":"n","order":"desc"}],"limit":0`, source: "V/2", less: byNumber("n", true), limit: 0},
		},
		"V/4": {
			{
				definition: `"source":"V/1","aggregate":{"rows":{"op":"count"},"total":{"op":"sum","field":"n"}}`, source: "V/1", limit: -1,
				row: func(all []entry) object {
					total := 0.0
					for _, e := range all {
						total += num(e.data, "n")
					}
					return object{"rows": float64(len(all)), "total": total}
				},
			},
			{definition: `"source":"V/3"`, source: "V/3", less: latestFirst, limit: -1},
		},
	}
}

// world is a node, what it should serve, and its clients.
type world struct {
	*node
	t       *rapid.T
	views   map[string]naive
	clients []*client
	isSmall bool // everything that is remembered is
}

// client subscribes, is cut, and comes back.
type client struct {
	*conn
	subs   map[string]string // parameters, by view and key
	cursor string            // up to which its lists were complete
}

func TestRandom(t *testing.T) {
	t.Parallel()
	// A bubble has one T whose deadline rapid may not ask for.
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { runRandom(t, rt) })
	})
}

func runRandom(t *testing.T, rt *rapid.T) {
	small := rapid.Bool().Draw(rt, "small")
	s := setup{views: view.Options{FirstBatch: 2, NextBatch: 3, DefaultWindow: 4}}
	if small {
		s.hub = hub.Options{MaxHeld: 2, MaxLagBytes: 150, MaxInboxBytes: 1}
		s.views.MaxMissed = 5
		s.views.MaxBatchBytes = 100
		s.entities.MaxTombstones = 3
	}
	w := &world{node: newNode(t, s), t: rt, views: map[string]naive{}, isSmall: small}
	defer w.stop()
	for range 3 {
		w.clients = append(w.clients, &client{conn: w.connect(), subs: map[string]string{}})
	}
	defer func() {
		for _, c := range w.clients {
			c.leave()
		}
	}()
	rt.Repeat(map[string]func(*rapid.T){
		"mutate": w.mutate, "mutate more": w.mutate, "subscribe": w.subscribe, "subscribe again": w.subscribe,
		"unsubscribe": w.unsubscribe, "congest": w.congest, "give": w.give, "cut": w.cut,
		"define": w.defineOne, "settle": w.settle,
	})
	w.settle(rt)
}

func (w *world) client(t *rapid.T) *client {
	return rapid.SampledFrom(w.clients).Draw(t, "client")
}

func (w *world) mutate(t *rapid.T) {
	b := &entity.Batch{App: app}
	for range rapid.IntRange(1, 6).Draw(t, "mutations") {
		m := entity.Mutation{
			Type: rapid.SampledFrom([]string{"T", "T", "T", "U"}).Draw(t, "type"),
			Key:  rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(t, "key"),
			Op:   rapid.SampledFrom([]entity.Op{entity.OpPatch, entity.OpPatch, entity.OpPatch, entity.OpUpsert, entity.OpDelete}).Draw(t, "op"),
		}
		if m.Op != entity.OpDelete {
			m.Data = []byte(rapid.SampledFrom([]string{
				`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":null}`, `{"m":1}`, `{"m":2,"n":5}`, `{"open":true}`, `{"open":false}`,
				`{"log":[1]}`, `{"log":[2,3]}`, `{"o":{"p":1}}`, `{"o":{"q":[1]}}`, `{}`,
			}).Draw(t, "data"))
		}
		if m.Op == entity.OpPatch {
			m.Append = rapid.SampledFrom([][]string{nil, {"log"}, {"log", "o.q"}}).Draw(t, "append")
		}
		b.Mutations = append(b.Mutations, m)
	}
	if _, err := w.Apply(b); err != nil {
		t.Fatalf("apply: %v", err)
	}
	if rapid.Bool().Draw(t, "wait") {
		synctest.Wait()
	}
}

func (w *world) subscribe(t *rapid.T) {
	c := w.client(t)
	id := rapid.SampledFrom([]string{
		"T/list", "T/append", "T/state key=a", "T/append key=b", "U/list", "V/1", "V/2", "V/3", "V/4", "V/4 key=all", "V/1 key=z",
	}).Draw(t, "view")
	for other := range c.subs {
		if other != id && request(other).View == request(id).View {
			return // both go to the same rows of the client
		}
	}
	if w.isSmall {
		synctest.Wait() // or more may be on its way to what this replaces than is remembered
	}
	var options string
	if strings.HasPrefix(id, "V/") {
		options = rapid.SampledFrom([]string{"", "", " take=2", " take=1 skip=1", " take=4 skip=2", " take=100", " take=0", " skip=1"}).Draw(t, "window")
	}
	w.ask(c, id, options+" ")
}

// ask subscribes c, unless the view is not there.
func (w *world) ask(c *client, id, options string) {
	switch issue := c.subscribe(id + options); issue {
	case "":
		c.subs[id] = options
	case "unknown view":
		if _, ok := w.views[request(id).View]; ok || !strings.HasPrefix(id, "V/") {
			w.t.Fatalf("subscribe to %s: %s", id, issue)
		}
	default:
		w.t.Fatalf("subscribe to %s: %s", id, issue)
	}
}

func (w *world) unsubscribe(t *rapid.T) {
	c := w.client(t)
	if len(c.subs) == 0 {
		return
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(c.subs))).Draw(t, "subscription")
	if !c.unsubscribe(id) {
		t.Fatalf("unsubscribe from %s: there was nothing", id)
	}
	delete(c.subs, id)
	if id == "T/list" {
		c.cursor = ""
	}
	synctest.Wait() // what was queued may still come
	delete(c.store, request(id).View)
}

func (w *world) congest(t *rapid.T) {
	w.client(t).give(rapid.IntRange(0, 4).Draw(t, "room"))
}

func (w *world) give(t *rapid.T) { w.client(t).give(-1) }

// cut ends a connection; the client comes back with what it has of its list and the cursor
// of when that was complete.
func (w *world) cut(t *rapid.T) {
	c := w.client(t)
	if c.cursor == "" && rapid.Bool().Draw(t, "later") {
		return
	}
	w.reconnect(c)
}

func (w *world) reconnect(c *client) {
	c.leave()
	synctest.Wait()
	old, isLost := c.store["T/list"], c.isClosed
	c.conn = w.connect()
	for _, id := range slices.Sorted(maps.Keys(c.subs)) {
		options := strings.TrimRight(c.subs[id], " ")
		if id == "T/list" {
			options = ""
			if c.cursor != "" && !isLost && w.isKnown(c.cursor) {
				c.store["T/list"] = old
				options = " after=" + c.cursor
			}
		}
		delete(c.subs, id)
		w.ask(c, id, options)
	}
}

// isKnown reports whether every deletion since a cursor is remembered. If not, a client that
// keeps its rows keeps some for ever (views 5.7).
func (w *world) isKnown(cursor string) bool {
	t := w.state.Declare(app, "T")
	t.RLock()
	defer t.RUnlock()
	return t.NumberAtLocked(entity.ParseSeq(cursor)) >= t.ForgottenLocked()
}

func (w *world) defineOne(t *rapid.T) {
	all := variants()
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(t, "view")
	_, isThere := w.views[id]
	if isThere && rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
		if w.Remove(w.node.t.Context(), app, id) == nil {
			delete(w.views, id)
		}
		return
	}
	v := rapid.SampledFrom(all[id]).Draw(t, "definition")
	definition := fmt.Sprintf(`{"id":%q,%s}`, id, v.definition)
	if err := w.tryDefine(definition); err == nil {
		w.views[id] = v
	} else if _, ok := w.views[v.source]; ok && v.source != "V/2" && !strings.Contains(err.Error(), "derives from this view") && !strings.Contains(err.Error(), "does not show") {
		t.Fatalf("define %s: %v", definition, err)
	}
}

// settle lets everybody read on and compares all they have with what is.
func (w *world) settle(t *rapid.T) {
	synctest.Wait()
	for _, c := range w.clients {
		for range 100 {
			c.give(-1)
			synctest.Wait()
		}
		if c.isClosed {
			w.reconnect(c)
			synctest.Wait()
		}
		for id, options := range c.subs {
			want, got := w.rows(id, options), map[string]string{}
			for key, data := range c.store[request(id).View] {
				got[key] = text(data)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("%s%s: the client's rows differ (-model +client):\n%s", id, options, diff)
			}
		}
		c.cursor = ""
		if _, ok := c.subs["T/list"]; ok {
			res, _ := w.Read(app, request("T/list"), 0)
			c.cursor = res.Position.String()
		}
	}
}

// rows is what a subscription should show.
func (w *world) rows(id, options string) map[string]string {
	r := request(id + options)
	rows := map[string]string{}
	name, isDerived := r.View, strings.HasPrefix(r.View, "V/")
	if !isDerived {
		for _, e := range w.entries(name) {
			if r.Key == nil || *r.Key == e.key {
				rows[e.key] = text(e.data)
			}
		}
		return rows
	}
	v, ok := w.views[name]
	if !ok {
		return rows
	}
	if v.row != nil {
		if r.Key == nil || *r.Key == "all" {
			rows["all"] = text(v.row(w.entries(v.source)))
		}
		return rows
	}
	all := w.members(v)
	low, take := min(r.Skip, len(all)), v.limit
	if v.limit < 0 {
		take = len(all)
	}
	if r.Take != nil {
		take = *r.Take
	}
	fields := w.fields(v)
	for _, e := range all[low:min(low+take, len(all))] {
		rows[e.key] = text(project(e.data, fields))
	}
	return rows
}

// entries is what a view shows to those who derive from it.
func (w *world) entries(id string) []entry {
	if v, ok := w.views[id]; ok {
		all := w.members(v)
		if v.limit >= 0 {
			all = all[:min(v.limit, len(all))]
		}
		return all
	}
	t := w.state.Declare(app, strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(id, "/list"), "/append"), "/state"))
	t.RLock()
	defer t.RUnlock()
	var all []entry
	for _, v := range t.AfterLocked(nil, 0, 1000) {
		var data object
		_ = json.Unmarshal(v.Data, &data)
		all = append(all, entry{v.Key, v.Number, data})
	}
	return all
}

func (w *world) members(v naive) []entry {
	all := slices.Clone(w.entries(v.source))
	if v.matches != nil {
		all = slices.DeleteFunc(all, func(e entry) bool { return !v.matches(e.data) })
	}
	slices.SortFunc(all, v.less)
	return all
}

func (w *world) fields(v naive) []string {
	for {
		if v.fields != nil {
			return v.fields
		}
		source, ok := w.views[v.source]
		if !ok {
			return nil
		}
		v = source
	}
}

func project(o object, fields []string) object {
	if fields == nil {
		return o
	}
	shown := object{}
	for _, f := range fields {
		if value, ok := o[f]; ok {
			shown[f] = value
		}
	}
	return shown
}
