package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

type entityNode = node[owner.Store]

// RunEntities checks an owner.Store.
func RunEntities(t *testing.T, open Open[owner.Store]) {
	run(t, open, map[string]func(t *testing.T, n *entityNode){
		"an empty store has nothing":                                 loadsNothing,
		"a record comes back as it was":                              keepsRecords,
		"a record replaces that of the same app, type and key":       replacesRecords,
		"of one key's records in a commit the last one counts":       keepsTheLastOfACommit,
		"a tombstone comes back as one":                              keepsTombstones,
		"a record takes the place of a tombstone":                    revives,
		"a forgotten tombstone is gone":                              forgets,
		"to forget a live record leaves it":                          forgetsOnlyTombstones,
		"to forget in the commit of the deletion removes the record": forgetsAtOnce,
		"a receipt comes back until it expires":                      keepsReceipts,
		"a receipt replaces that of the same app and key":            replacesReceipts,
		"a commit of nothing succeeds":                               commitsNothing,
		"a commit of many large records is whole":                    commitsMany,
		"a commit whose context has ended changes nothing":           obeysContext,
		"an error of a callback ends the loading and comes back":     stopsLoading,
		"runs come back, and replace those saved before":             keepsRuns,
		"random commits leave what a map would hold":                 agreesWithModel,
	})
}

// sameRecords compares data as text: byte by byte would take seconds, and could not be read.
// It takes nothing and an empty list for the same.
func sameRecords() gocmp.Option {
	return gocmp.Options{
		gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().Type() == reflect.TypeFor[[]byte]() },
			gocmp.Transformer("text", func(data []byte) string { return string(data) })),
		gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().Type() != reflect.TypeFor[[]byte]() },
			cmpopts.EquateEmpty()),
	}
}

// stored is all that an owner.Store keeps.
type stored struct {
	Records  []owner.Record
	Receipts []owner.Receipt
}

func load(t *testing.T, s owner.Store, at time.Time) stored {
	t.Helper()
	var got stored
	err := s.LoadEntities(t.Context(), at,
		func(r owner.Record) error { got.Records = append(got.Records, r); return nil },
		func(r owner.Receipt) error { got.Receipts = append(got.Receipts, r); return nil })
	if err != nil {
		t.Fatalf("LoadEntities: %v", err)
	}
	got.sort()
	return got
}

// sort makes the order the same for every store.
func (s *stored) sort() {
	slices.SortFunc(s.Records, func(a, b owner.Record) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Key, b.Key))
	})
	slices.SortFunc(s.Receipts, func(a, b owner.Receipt) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Key, b.Key))
	})
}

func commit(t *testing.T, n *entityNode, c owner.Commit) {
	t.Helper()
	c.Now = cmp.Or(c.Now, now())
	if err := n.store.CommitEntities(t.Context(), &c); err != nil {
		t.Fatalf("CommitEntities: %v", err)
	}
}

func expect(t *testing.T, n *entityNode, want stored) {
	t.Helper()
	want.sort()
	n.each(t, func(when string) {
		if diff := gocmp.Diff(want, load(t, n.store, now()), sameRecords()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	})
}

// record is one of the type Auction of one app; its data names its number.
func record(key string, number uint64) owner.Record {
	return owner.Record{
		App: "app", Type: "Auction", Key: key, Number: number,
		Data: fmt.Appendf(nil, `{"n":%d}`, number), Seq: entity.Seq{Slot: 1_900_000_000_000, Index: number},
	}
}

func tombstone(key string, number uint64) owner.Record {
	r := record(key, number)
	r.Data, r.IsDeleted = nil, true
	return r
}

// named is a record as Commit.Forget names it.
func named(key string) owner.Record { return owner.Record{App: "app", Type: "Auction", Key: key} }

func records(rs ...owner.Record) []owner.Record { return rs }

func loadsNothing(t *testing.T, n *entityNode) { expect(t, n, stored{}) }

func keepsRecords(t *testing.T, n *entityNode) {
	var all []owner.Record
	keys := []string{"", " ", "lot-9", "LOT-9", "a\x00b", "a\x00", "ünï", "'; DROP TABLE entities; --", "%_*?", strings.Repeat("k", 1024)}
	for i, key := range keys {
		all = append(all, record(key, uint64(i+1)))
	}
	for i, data := range []string{`{}`, `{"big":18446744073709551615,"s":"\u0000","t":"é"}`, `{"v":"` + strings.Repeat("x", 1<<20) + `"}`} {
		r := record(fmt.Sprintf("data-%d", i), 100+uint64(i))
		r.Data = []byte(data)
		all = append(all, r)
	}
	extreme := record("extreme", math.MaxUint64)
	extreme.Seq = entity.Seq{Slot: math.MaxUint64, Index: math.MaxUint64}
	all = append(all, extreme, owner.Record{App: "app", Type: "Auction", Key: "zero", Data: []byte(`{}`)})
	commit(t, n, owner.Commit{Records: all})
	expect(t, n, stored{Records: all})
}

func replacesRecords(t *testing.T, n *entityNode) {
	first, second := record("lot-9", 1), record("lot-9", 2)
	otherApp, otherType := first, first
	otherApp.App, otherType.Type = "other", "Bid"
	commit(t, n, owner.Commit{Records: records(first, otherApp, otherType)})
	expect(t, n, stored{Records: records(first, otherApp, otherType)})
	commit(t, n, owner.Commit{Records: records(second)})
	expect(t, n, stored{Records: records(second, otherApp, otherType)})
}

func keepsTheLastOfACommit(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(
		record("a", 1), record("b", 2), record("a", 3), tombstone("b", 4), tombstone("c", 5), record("c", 6),
	)})
	expect(t, n, stored{Records: records(record("a", 3), tombstone("b", 4), record("c", 6))})
}

func keepsTombstones(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(record("a", 1), record("b", 2))})
	commit(t, n, owner.Commit{Records: records(tombstone("a", 3))})
	expect(t, n, stored{Records: records(tombstone("a", 3), record("b", 2))})
}

func revives(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(tombstone("a", 1))})
	expect(t, n, stored{Records: records(tombstone("a", 1))})
	commit(t, n, owner.Commit{Records: records(record("a", 2))})
	expect(t, n, stored{Records: records(record("a", 2))})
}

func forgets(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(record("a", 1), record("b", 2))})
	n.store = n.reopen(t)
	commit(t, n, owner.Commit{Records: records(tombstone("a", 3), tombstone("b", 4))})
	commit(t, n, owner.Commit{Forget: records(named("a"), named("unknown"))})
	expect(t, n, stored{Records: records(tombstone("b", 4))})
	commit(t, n, owner.Commit{Forget: records(named("b"))})
	expect(t, n, stored{})
	commit(t, n, owner.Commit{Records: records(record("a", 5))})
	expect(t, n, stored{Records: records(record("a", 5))})
}

func forgetsOnlyTombstones(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(record("a", 1))})
	commit(t, n, owner.Commit{Records: records(tombstone("b", 2))})
	commit(t, n, owner.Commit{Records: records(record("b", 3)), Forget: records(named("a"), named("b"))})
	expect(t, n, stored{Records: records(record("a", 1), record("b", 3))})
	commit(t, n, owner.Commit{Forget: records(named("a"), named("b"))})
	expect(t, n, stored{Records: records(record("a", 1), record("b", 3))})
}

func forgetsAtOnce(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(record("a", 1))})
	n.store = n.reopen(t)
	commit(t, n, owner.Commit{Records: records(tombstone("a", 2)), Forget: records(named("a"))})
	expect(t, n, stored{})
}

func receipt(key string, index uint64, ttl time.Duration) owner.Receipt {
	return owner.Receipt{App: "app", Key: key, Seq: entity.Seq{Slot: 7, Index: index}, Expires: now().Add(ttl)}
}

func keepsReceipts(t *testing.T, n *entityNode) {
	soon, late := receipt("soon", 1, time.Minute), receipt("late", 2, time.Hour)
	commit(t, n, owner.Commit{Receipts: []owner.Receipt{soon, late}})
	expect(t, n, stored{Receipts: []owner.Receipt{soon, late}})
	n.each(t, func(when string) {
		got := load(t, n.store, soon.Expires)
		if diff := gocmp.Diff([]owner.Receipt{late}, got.Receipts); diff != "" {
			t.Errorf("%s, when the first expires (-want +got):\n%s", when, diff)
		}
	})
	later := receipt("later", 3, 3*time.Hour)
	commit(t, n, owner.Commit{Receipts: []owner.Receipt{later}, Now: late.Expires})
	n.each(t, func(when string) {
		got := load(t, n.store, late.Expires)
		if diff := gocmp.Diff([]owner.Receipt{later}, got.Receipts); diff != "" {
			t.Errorf("%s, after a commit when the second expires (-want +got):\n%s", when, diff)
		}
	})
}

func replacesReceipts(t *testing.T, n *entityNode) {
	other := receipt("k", 9, time.Hour)
	other.App = "other"
	commit(t, n, owner.Commit{Receipts: []owner.Receipt{receipt("k", 1, time.Hour), other, receipt("k", 2, time.Hour)}})
	expect(t, n, stored{Receipts: []owner.Receipt{receipt("k", 2, time.Hour), other}})
	commit(t, n, owner.Commit{Receipts: []owner.Receipt{receipt("k", 3, 2*time.Hour)}})
	expect(t, n, stored{Receipts: []owner.Receipt{receipt("k", 3, 2*time.Hour), other}})
}

func keepsRuns(t *testing.T, n *entityNode) {
	want := []entity.Run{}
	check := func(when string) {
		t.Helper()
		got, err := n.store.LoadRuns(t.Context())
		slices.SortFunc(got, func(a, b entity.Run) int { return cmp.Compare(a.Tag, b.Tag) })
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%s: runs (-want +got), error %v:\n%s", when, err, diff)
		}
	}
	n.each(t, check)
	for _, want = range [][]entity.Run{
		{{Tag: 0, Last: entity.Seq{Slot: 7, Index: 3}}, {Tag: 999_999, First: 8, Last: entity.Seq{Slot: 8, Index: 999_999_000_000}}},
		{{Tag: 17, First: math.MaxUint64, Last: entity.Seq{Slot: math.MaxUint64, Index: math.MaxUint64}}},
		{},
	} {
		if err := n.store.SaveRuns(t.Context(), want); err != nil {
			t.Fatalf("SaveRuns: %v", err)
		}
		n.each(t, check)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.store.SaveRuns(ctx, []entity.Run{{Tag: 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	check("after a context that had ended")
}

func commitsNothing(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{})
	expect(t, n, stored{})
}

func commitsMany(t *testing.T, n *entityNode) {
	var all []owner.Record
	for i := range 1001 {
		r := record(fmt.Sprintf("lot-%d", i), uint64(i))
		r.Data = fmt.Appendf(nil, `{"v":"%s"}`, strings.Repeat("x", i*7%5000))
		all = append(all, r)
	}
	commit(t, n, owner.Commit{Records: all})
	expect(t, n, stored{Records: all})
}

func obeysContext(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{Records: records(record("a", 1))})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := n.store.CommitEntities(ctx, &owner.Commit{Records: records(record("a", 2), record("b", 3)), Now: now()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	expect(t, n, stored{Records: records(record("a", 1))})
	commit(t, n, owner.Commit{Records: records(record("a", 4))})
	expect(t, n, stored{Records: records(record("a", 4))})
}

func stopsLoading(t *testing.T, n *entityNode) {
	commit(t, n, owner.Commit{
		Records:  records(record("a", 1), record("b", 2)),
		Receipts: []owner.Receipt{receipt("k", 1, time.Hour), receipt("l", 1, time.Hour)},
	})
	enough := errors.New("enough")
	calls := 0
	stop := func() error { calls++; return enough }
	pass := func(owner.Record) error { return nil }
	if err := n.store.LoadEntities(t.Context(), now(), func(owner.Record) error { return stop() }, nil); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("records: got error %v after %d calls, want that of the first call", err, calls)
	}
	calls = 0
	if err := n.store.LoadEntities(t.Context(), now(), pass, func(owner.Receipt) error { return stop() }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("receipts: got error %v after %d calls, want that of the first call", err, calls)
	}
	expect(t, n, load(t, n.store, now())) // and it still works
}
