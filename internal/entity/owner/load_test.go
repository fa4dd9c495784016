package owner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

func TestRestart(t *testing.T) {
	t.Parallel()
	s := newShelf()
	now := time.UnixMilli(1_893_450_000_000)
	tags := []uint64{7, 3}
	o := owner.Options{Store: s, Now: func() time.Time { return now }, Tag: func() uint64 {
		tag := tags[0]
		tags = tags[1:]
		return tag
	}}
	e := newNode(o)
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := run(t, e, idle{})
	apply(t, e, upsert("a", `{"n":9007199254740993}`), upsert("b", `{"l":[1]}`), upsert("c", `{}`), remove("c"))
	seq := apply(t, e, patch("b", `{"l":[2]}`, "l"), remove("a"), upsert("a", `{"n":36893488147419103232}`))
	before := e.Find("app", "Auction")
	stop()

	now = now.Add(-time.Hour)
	e = start(t, o, idle{})
	after := e.Find("app", "Auction")
	same(t, "entities", after.AfterLocked(nil, 0, 9), before.AfterLocked(nil, 0, 9))
	same(t, "tombstones", after.DeletedAfterLocked(nil, 0, 9), before.DeletedAfterLocked(nil, 0, 9))
	same(t, "wire form", without(t, get(e, "a").Wire(), seq), `{"n":"36893488147419103232"}`)
	last, number := after.LastLocked()
	same(t, "last", last, seq)
	same(t, "last number", number, 7)

	next := apply(t, e, patch("b", `{"l":[3]}`, "l"))
	same(t, "M26 seq goes on, though the clock was set back", next.String(), "1893450000001:000003000001")
	same(t, "b", stored(t, e, "b"), `{"l":[1,2,3]}`)
	same(t, "its number", get(e, "b").Number, 8)
}

func TestForgottenTombstonesOverRestarts(t *testing.T) {
	t.Parallel()
	s := newShelf()
	e := newNode(owner.Options{Store: s, MaxTombstones: 3})
	stop := run(t, e, idle{})
	var seqs []entity.Seq
	for i := range 6 {
		apply(t, e, upsert(key(i), `{}`))
		seqs = append(seqs, apply(t, e, remove(key(i))))
	}
	check := func(e *node, forgotten uint64, keys ...string) {
		t.Helper()
		typ := e.Find("app", "Auction")
		same(t, "forgotten", typ.ForgottenLocked(), forgotten)
		var got []string
		for _, grave := range typ.DeletedAfterLocked(nil, 0, 9) {
			got = append(got, grave.Key)
		}
		same(t, "tombstones", got, keys)
		_, deleted := s.keys()
		same(t, "tombstones stored", deleted, keys)
		same(t, "types", len(e.Types("app")), 1)
		same(t, "a cursor that is complete", typ.NumberAtLocked(seqs[5]), 12)
		wantSixth := uint64(6) // what is before the forgotten ones is as good as nothing
		if forgotten > wantSixth {
			wantSixth = 0
		}
		same(t, "the sixth change", typ.NumberAtLocked(seqs[2]), wantSixth)
	}
	check(e, 6, key(3), key(4), key(5))
	stop()

	e = newNode(owner.Options{Store: s, MaxTombstones: 9})
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(e, 6, key(3), key(4), key(5))

	e = newNode(owner.Options{Store: s, MaxTombstones: 2}) // it was lowered
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(e, 8, key(4), key(5))

	e = newNode(owner.Options{Store: s, MaxTombstones: 1})
	s.fail(errDisk)
	if err := e.Load(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("Load: %v, want %v", err, errDisk)
	}
}

func TestOneGroupForgetsItsOwnTombstones(t *testing.T) {
	t.Parallel()
	s := newShelf()
	e := start(t, owner.Options{Store: s, MaxTombstones: 2}, idle{})
	apply(t, e, upsert("a", `{}`), upsert("b", `{}`), remove("a"), remove("b"))
	apply(t, e, upsert("a", `{}`), upsert("c", `{}`), upsert("d", `{}`), upsert("e", `{}`), remove("c"), remove("d"), remove("e"), upsert("d", `{}`), remove("d"))
	live, deleted := s.keys()
	same(t, "live", live, []string{"a"})
	same(t, "tombstones", deleted, []string{"d", "e"})
	same(t, "forgotten", e.Find("app", "Auction").ForgottenLocked(), 9)
}

func TestDamagedStore(t *testing.T) {
	t.Parallel()
	seq := entity.Seq{Slot: 7, Index: 42}
	for name, data := range map[string]string{
		"no JSON":        `{"a":,"_seq":"7:000000000042"}`,
		"no object":      `["_seq":"7:000000000042"}`,
		"no cursor":      `{"a":1}`,
		"another cursor": `{"a":1,"_seq":"7:000000000041"}`,
		"space around":   ` {"_seq":"7:000000000042"}`,
		"nothing":        ``,
	} {
		s := newShelf()
		s.records[[3]string{}] = owner.Record{App: "app", Type: "Auction", Key: "a", Data: []byte(data), Seq: seq, Number: 1}
		err := newNode(owner.Options{Store: s}).Load(t.Context())
		if err == nil || !strings.Contains(err.Error(), `app "app", type "Auction", key "a": data is damaged`) {
			t.Errorf("%s: Load: %v", name, err)
		}
	}
	s := newShelf()
	s.records[[3]string{}] = owner.Record{App: "app", Type: "Auction", Data: []byte(`{"_seq":"7:000000000042"}`), Seq: seq, Number: 1}
	e := start(t, owner.Options{Store: s}, idle{})
	apply(t, e, patch("", `{"a":1}`))
	same(t, "stored", stored(t, e, ""), `{"a":1}`)
}

func TestApplyAllocs(t *testing.T) {
	e := start(t, owner.Options{}, idle{})
	fill(t, e, 1000)
	b := &entity.Batch{App: "app"}
	for i := range 100 {
		b.Mutations = append(b.Mutations, patch(key(i), fmt.Sprintf(`{"bid":{"amount":%d},"views":7}`, i)))
	}
	allocs := testing.AllocsPerRun(200, func() {
		if _, err := e.Apply(context.Background(), b); err != nil {
			t.Error(err)
		}
	})
	// The version and its data; the text of the patches, of which there is one for a batch.
	if perMutation := allocs / 100; perMutation > 2.1 {
		t.Errorf("%.2f allocations per mutation, want 2", perMutation)
	}
}
