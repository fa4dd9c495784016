package owner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// The model decodes everything into maps and follows the table of views 5.6 word by word.

func merged(stored, patch any, path string, paths []string, limit int) any {
	s, isObject := stored.(map[string]any)
	if p, ok := patch.(map[string]any); ok && isObject {
		out := maps.Clone(s)
		for name, value := range p {
			inner := name
			if path != "\x00root" {
				inner = path + "." + name
			}
			if old, ok := out[name]; ok {
				out[name] = merged(old, value, inner, paths, limit)
			} else {
				out[name] = cut(value, limit)
			}
		}
		return out
	}
	if old, ok := stored.([]any); ok && slices.Contains(paths, path) {
		if p, ok := patch.([]any); ok {
			return newest(append(slices.Clone(old), cut(p, 1<<30, limit).([]any)...), limit)
		}
	}
	return cut(patch, limit)
}

// cut keeps the newest elements of arrays; the first limit is that of v itself.
func cut(v any, limits ...int) any {
	inner := limits[len(limits)-1]
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[name] = cut(value, inner)
		}
		return out
	case []any:
		out := []any{}
		for _, element := range newest(v, limits[0]) {
			out = append(out, cut(element, inner))
		}
		return out
	}
	return v
}

func newest(v []any, limit int) []any { return v[max(0, len(v)-limit):] }

// onWire has the integers beyond 2^53-1 as strings.
func onWire(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[name] = onWire(value)
		}
		return out
	case []any:
		out := []any{}
		for _, element := range v {
			out = append(out, onWire(element))
		}
		return out
	case json.Number:
		n, ok := new(big.Int).SetString(v.String(), 10)
		if ok && n.CmpAbs(big.NewInt(1<<53-1)) > 0 {
			return v.String()
		}
	}
	return v
}

// root of what a document says, without _seq.
func root(tb testing.TB, text []byte) map[string]any {
	tb.Helper()
	m := decode(tb, text).(map[string]any)
	delete(m, "_seq")
	return m
}

func FuzzMerge(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"x":{"p":1},"l":[1,2]}`, `{"x":{"q":2},"l":[3]}`, "l"},
		{`{"a":{"b":[[1,2,3,4]],"c":"}"}}`, ` {"a" : {"b":[9007199254740993,{"d":1,"d":2}],"\u0063":{}},"_seq":1}`, "a.b"},
		{`{"":{"":[]}}`, `{"":{"":[0,-0,1e5]}}`, ".\n_seq"},
		{`{"a\"":1,"b":"\\"}`, `{"a\u0022":[[[1,2,3,4],1,2,3],{"x":[1,2,3,4]}],"b":{"c":{}}}`, "b"},
		{reversed(20, 1), numbered(30, 2), "k1"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]), seed[2])
	}
	f.Fuzz(func(t *testing.T, stored, patch []byte, appends string) {
		paths := strings.Split(appends, "\n")
		const limit = 3
		data, live, err := owner.Merged(owner.Options{MaxArray: limit}, stored, patch, paths)
		if err != nil {
			if _, ok := errors.AsType[*entity.Error](err); !ok {
				t.Fatal(err)
			}
			return
		}
		given := root(t, patch)
		want := merged(cut(root(t, stored), limit), given, "\x00root", paths, limit)
		for what, pair := range map[string]struct {
			got  []byte
			want any
		}{
			"stored":    {data, want},
			"live":      {live, onWire(given)},
			"wire form": {entity.AppendWire(nil, data), onWire(want)},
		} {
			if diff := cmp.Diff(pair.want, decode(t, pair.got)); diff != "" {
				t.Fatalf("%s of %q after %q, append %q (-want +got):\n%s", what, stored, patch, paths, diff)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, pair.got); err != nil || compact.String() != string(pair.got) {
				t.Fatalf("%q is not compact: %v", pair.got, err)
			}
		}
	})
}

// state is the model of one type.
type state struct {
	live      map[string]map[string]any
	numbers   map[string]uint64 // of what is live
	deleted   map[string]entity.Tombstone
	forgotten uint64
	last      entity.Seq
	number    uint64
}

func newState() *state {
	return &state{live: map[string]map[string]any{}, numbers: map[string]uint64{}, deleted: map[string]entity.Tombstone{}}
}

// follow makes the state follow changes as a receiver hears them, in wire form, and checks them.
func (s *state) follow(tb testing.TB, changes []entity.Change, limit int) {
	for i := range changes {
		c := &changes[i]
		if c.Number <= s.number || c.Seq.Compare(s.last) < 0 {
			tb.Errorf("number %d at %v follows %d at %v", c.Number, c.Seq, s.number, s.last)
		}
		s.number, s.last = c.Number, c.Seq
		old := s.live[c.Key]
		if (old != nil) != (c.Old != nil) || c.Old != nil && c.Old.Number != s.numbers[c.Key] {
			tb.Errorf("Old of %+v, want number %d", c, s.numbers[c.Key])
		}
		switch c.Op {
		case entity.OpDelete:
			delete(s.live, c.Key)
			delete(s.numbers, c.Key)
			s.deleted[c.Key] = entity.Tombstone{Key: c.Key, Seq: c.Seq, Number: c.Number}
			continue
		case entity.OpUpsert:
			s.live[c.Key] = root(tb, c.New.Wire())
		case entity.OpPatch:
			if old == nil {
				old = map[string]any{}
			}
			s.live[c.Key] = merged(old, root(tb, c.Patch), "\x00root", c.Append, limit).(map[string]any)
		}
		if c.New.Key != c.Key || c.New.Number != c.Number || c.New.Seq != c.Seq {
			tb.Errorf("New of %+v", c)
		}
		s.numbers[c.Key] = c.Number
		delete(s.deleted, c.Key)
	}
}

// forget drops tombstones beyond a limit, at the end of a group.
func (s *state) forget(limit int) {
	for len(s.deleted) > limit {
		oldest := slices.MinFunc(slices.Collect(maps.Values(s.deleted)), func(a, b entity.Tombstone) int { return int(a.Number) - int(b.Number) })
		delete(s.deleted, oldest.Key)
		s.forgotten = oldest.Number
	}
}

func (s *state) tombstones() []entity.Tombstone {
	return slices.SortedFunc(maps.Values(s.deleted), func(a, b entity.Tombstone) int { return int(a.Number) - int(b.Number) })
}

// follower is a receiver with a model.
type follower struct {
	tb                 testing.TB
	maxArray, maxTombs int
	mu                 sync.Mutex
	states             map[*entity.Type]*state // guarded by mu
}

func (f *follower) Changed(t *entity.Type, changes []entity.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.states[t] == nil {
		f.states[t] = newState()
	}
	f.states[t].follow(f.tb, changes, f.maxArray)
	f.states[t].forget(f.maxTombs)
}

// check compares the state of a type to the model.
func (f *follower) check(t *entity.Type) {
	f.mu.Lock()
	s := f.states[t]
	f.mu.Unlock()
	if s == nil {
		s = newState()
	}
	check(f.tb, t, s)
}

func check(tb testing.TB, t *entity.Type, s *state) {
	t.RLock()
	defer t.RUnlock()
	versions := t.AfterLocked(nil, 0, t.LenLocked()+1)
	live := map[string]map[string]any{}
	last := uint64(0)
	for _, v := range versions {
		if v.Number <= last || t.GetLocked(v.Key) != v || s.numbers[v.Key] != v.Number {
			tb.Fatalf("%s has number %d, want %d after %d", v.Key, v.Number, s.numbers[v.Key], last)
		}
		last, live[v.Key] = v.Number, root(tb, v.Wire())
	}
	if diff := cmp.Diff(s.live, live); diff != "" || t.LenLocked() != len(s.live) {
		tb.Fatalf("%d entities (-want +got):\n%s", t.LenLocked(), diff)
	}
	if diff := cmp.Diff(s.tombstones(), append([]entity.Tombstone{}, t.DeletedAfterLocked(nil, 0, 1000)...)); len(s.deleted) > 0 && diff != "" {
		tb.Fatalf("tombstones (-want +got):\n%s", diff)
	}
	if t.ForgottenLocked() != s.forgotten {
		tb.Fatalf("forgotten up to %d, want %d", t.ForgottenLocked(), s.forgotten)
	}
	if seq, number := t.LastLocked(); seq != s.last || number != s.number {
		tb.Fatalf("last is %v, %d, want %v, %d", seq, number, s.last, s.number)
	}
	for _, at := range []entity.Seq{{}, s.last, {Slot: s.last.Slot, Index: s.last.Index - 1}, {Slot: s.last.Slot, Index: s.last.Index / 2}} {
		checkNumberAt(tb, t, s, versions, at)
	}
}

func checkNumberAt(tb testing.TB, t *entity.Type, s *state, versions []*entity.Version, at entity.Seq) {
	number := t.NumberAtLocked(at)
	for _, v := range versions {
		if (v.Seq.Compare(at) <= 0) != (v.Number <= number) {
			tb.Fatalf("at %v is number %d, but %d is at %v", at, number, v.Number, v.Seq)
		}
	}
	for _, grave := range s.deleted {
		if (grave.Seq.Compare(at) <= 0) != (grave.Number <= number) {
			tb.Fatalf("at %v is number %d, but tombstone %d is at %v", at, number, grave.Number, grave.Seq)
		}
	}
}

// aDocument draws JSON whose names are few, so that patches meet.
func aDocument(t *rapid.T) string {
	var value func(depth int) string
	object := func(depth int) string {
		var members []string
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			name := rapid.SampledFrom([]string{`"a"`, `"b"`, `"c"`, `"\u0061"`, `"a.b"`, `""`, `"_seq"`}).Draw(t, "name")
			members = append(members, name+":"+value(depth+1))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	value = func(depth int) string {
		kinds := 8
		if depth > 3 {
			kinds = 5
		}
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			return "null"
		case 1:
			return rapid.SampledFrom([]string{"1", "-2.50", "9007199254740993", "-36893488147419103232"}).Draw(t, "number")
		case 2:
			return rapid.SampledFrom([]string{`"x"`, `"}"`, `"\"]"`, `"\\"`, `""`}).Draw(t, "text")
		case 3, 4, 5:
			return "7"
		case 6:
			return object(depth)
		default:
			var elements []string
			for range rapid.IntRange(0, 5).Draw(t, "elements") {
				elements = append(elements, value(depth+1))
			}
			return "[" + strings.Join(elements, " , ") + "]"
		}
	}
	return object(0)
}

func aMutation(t *rapid.T) entity.Mutation {
	m := entity.Mutation{
		Type: rapid.SampledFrom([]string{"Auction", "Auction", "User"}).Draw(t, "type"),
		Key:  strconv.Itoa(rapid.IntRange(0, 12).Draw(t, "key")),
		Op:   rapid.SampledFrom([]entity.Op{entity.OpPatch, entity.OpPatch, entity.OpUpsert, entity.OpDelete}).Draw(t, "op"),
		Data: []byte(aDocument(t)),
	}
	if m.Op == entity.OpPatch {
		m.Append = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "a.b", "a.b.c", "."}), 0, 2).Draw(t, "append")
	}
	return m
}

// expect works out what a batch should do to what the engine has; nil if it should be refused.
func expect(tb testing.TB, live map[string]map[string]any, b *entity.Batch, limit int) map[string]map[string]any {
	out := maps.Clone(live)
	for _, m := range b.Mutations {
		id := m.Type + "/" + m.Key
		if m.Op == entity.OpDelete {
			delete(out, id)
			continue
		}
		data := root(tb, m.Data)
		for _, path := range m.Append {
			if v, ok := lookup(data, path); ok {
				if _, ok := v.([]any); !ok {
					return nil
				}
			}
		}
		if old := out[id]; old != nil && m.Op == entity.OpPatch {
			out[id] = merged(old, data, "\x00root", m.Append, limit).(map[string]any)
		} else {
			out[id] = cut(data, limit).(map[string]any)
		}
	}
	return out
}

// lookup finds what is at a path. Names with dots come first: the engine refuses if any
// value at the path is no array.
func lookup(v any, path string) (any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	var found any
	ok = false
	for name, value := range m {
		inner, innerOK := value, name == path
		if rest, cut := strings.CutPrefix(path, name+"."); cut && !innerOK {
			inner, innerOK = lookup(value, rest)
		}
		if _, isArray := inner.([]any); innerOK && (!ok || !isArray) {
			found, ok = inner, true
		}
	}
	return found, ok
}

func TestRandomMutations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		const limit = 3
		maxTombs := rapid.IntRange(1, 5).Draw(rt, "tombstones")
		s := newShelf()
		o := owner.Options{Store: s, MaxArray: limit, MaxTombstones: maxTombs}
		f := &follower{tb: t, maxArray: limit, maxTombs: maxTombs, states: map[*entity.Type]*state{}}
		e, stop := open(t, o, f)
		defer func() { stop() }()
		live := map[string]map[string]any{}
		last := entity.Seq{}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			b := &entity.Batch{App: "app"}
			for range rapid.IntRange(1, 6).Draw(rt, "mutations") {
				b.Mutations = append(b.Mutations, aMutation(rt))
			}
			after := expect(t, live, b, limit)
			isBroken := rapid.IntRange(0, 9).Draw(rt, "disk") == 0
			if isBroken {
				s.fail(errDisk)
			}
			seq, err := e.Apply(context.Background(), b)
			s.fail(nil)
			_, isRefused := errors.AsType[*entity.Error](err)
			switch {
			case isRefused != (after == nil):
				rt.Fatalf("Apply: %v, want a refusal: %v", err, after == nil)
			case err == nil:
				if seq.Compare(last) < 0 {
					rt.Fatalf("seq %v follows %v", seq, last)
				}
				live, last = after, seq
			case !isRefused && !errors.Is(err, errDisk):
				rt.Fatalf("Apply: %v", err)
			}
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				stop()
				e, stop = reopen(t, o, f)
			}
			compare(rt, e, f, live)
		}
	})
}

func open(t *testing.T, o owner.Options, f *follower) (*node, func()) {
	e := newNode(o)
	if err := e.Load(context.Background()); err != nil {
		t.Fatalf("Load: %v", err)
	}
	return e, run(t, e, f)
}

// reopen lets the models follow the types of an engine that has loaded what the one before
// has stored.
func reopen(t *testing.T, o owner.Options, f *follower) (*node, func()) {
	e, stop := open(t, o, f)
	f.mu.Lock()
	defer f.mu.Unlock()
	for old, s := range f.states {
		delete(f.states, old)
		typ := e.Find(old.App, old.Name)
		if typ == nil {
			t.Fatalf("type %s is gone after a restart", old.Name)
		}
		f.states[typ] = s
	}
	return e, stop
}

func compare(rt *rapid.T, e *node, f *follower, live map[string]map[string]any) {
	got := map[string]map[string]any{}
	for _, typ := range e.Types("app") {
		f.check(typ)
		typ.RLock()
		for _, v := range typ.AfterLocked(nil, 0, typ.LenLocked()) {
			got[typ.Name+"/"+v.Key] = root(f.tb, v.Data)
		}
		typ.RUnlock()
	}
	if diff := cmp.Diff(live, got); diff != "" {
		rt.Fatalf("state (-want +got):\n%s", diff)
	}
}

// TestManyCallers lets batches meet in groups, some of which fail.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	const callers, each, limit = 8, 60, 3
	s := newShelf()
	f := &follower{tb: t, maxArray: limit, maxTombs: 4, states: map[*entity.Type]*state{}}
	o := owner.Options{Store: s, MaxArray: limit, MaxTombstones: 4}
	e, stop := open(t, o, f)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			counter := fmt.Sprintf("counter-%d", c)
			applied := 0
			for i := range each {
				if c == 0 && i%10 == 0 {
					s.fail(errDisk)
				}
				_, err := e.Apply(context.Background(), &entity.Batch{App: "app", IdempotencyKey: fmt.Sprint(c, i), Mutations: []entity.Mutation{
					patch("shared", fmt.Sprintf(`{"c%d":%d,"l":[%d]}`, c, i, c), "l"),
					patch(counter, fmt.Sprintf(`{"n":%d}`, applied+1)),
					upsert(strconv.Itoa(i%7), `{}`), remove(strconv.Itoa((i + c) % 7)),
				}})
				if c == 0 {
					s.fail(nil)
				}
				if err == nil {
					applied++
				} else if !errors.Is(err, errDisk) {
					t.Error(err)
				}
				if v := get(e, counter); (v == nil) != (applied == 0) || v != nil && stored(t, e, counter) != fmt.Sprintf(`{"n":%d}`, applied) {
					t.Errorf("%s after %d batches: %+v", counter, applied, v)
				}
			}
		})
	}
	wg.Wait()
	f.check(e.Find("app", "Auction"))
	stop()
	e, _ = reopen(t, o, f)
	f.check(e.Find("app", "Auction"))
}
