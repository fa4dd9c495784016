package owner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// knows fails unless e knows exactly those of all that are in want.
func knows(t *testing.T, what string, e *node, all []entity.Seq, want ...entity.Seq) {
	t.Helper()
	for _, s := range all {
		if got := e.Knows(s); got != slices.Contains(want, s) {
			t.Errorf("%s: Knows(%v) is %v", what, s, got)
		}
	}
}

func TestPositionsOfAnotherStateAreNotKnown(t *testing.T) {
	t.Parallel()
	s := newShelf()
	one := start(t, owner.Options{Store: s}, idle{})
	a := apply(t, one, upsert("a", `{}`))
	backup := s.copied()
	b := apply(t, one, upsert("b", `{}`))
	future := entity.Seq{Slot: b.Slot + 1, Index: b.Index}
	all := []entity.Seq{a, b, future, {}, {Slot: a.Slot}, {Slot: a.Slot, Index: 1}, entity.ParseSeq("9999999999999:000000000001")}
	knows(t, "the server that gave them out", one, all, a, b)
	knows(t, "after a restart", start(t, owner.Options{Store: s}, idle{}), all, a, b)
	knows(t, "after two", start(t, owner.Options{Store: s}, idle{}), all, a, b)

	restored := start(t, owner.Options{Store: backup.copied()}, idle{})
	knows(t, "a backup of in between", restored, all, a)
	c := apply(t, restored, upsert("c", `{}`))
	other := start(t, owner.Options{Store: backup.copied()}, idle{})
	d := apply(t, other, upsert("d", `{}`))
	all = append(all, c, d)
	knows(t, "it goes on", restored, all, a, c)
	knows(t, "another copy of it", other, all, a, d)

	knows(t, "another server", start(t, owner.Options{Store: newShelf()}, idle{}), all)
	memory := start(t, owner.Options{}, idle{})
	e := apply(t, memory, upsert("e", `{}`))
	all = append(all, e)
	knows(t, "a server without a store", memory, all, e)
	knows(t, "it starts again", start(t, owner.Options{}, idle{}), all)
}

func TestPositionsFromBeforeThereWereTags(t *testing.T) {
	t.Parallel()
	s := newShelf()
	last := entity.Seq{Slot: 9_000_000_000_000, Index: 17} // the clock was ahead
	for i, seq := range []entity.Seq{{Slot: 1_893_450_000_000, Index: 1}, last} {
		s.records[[3]string{key(i)}] = owner.Record{
			App: "app", Type: "Auction", Key: key(i), Seq: seq, Number: uint64(i + 1),
			Data: fmt.Appendf(nil, `{"_seq":"%s"}`, seq),
		}
	}
	first := entity.Seq{Slot: 1_893_450_000_000, Index: 1}
	above := entity.Seq{Slot: last.Slot, Index: 18}
	all := []entity.Seq{first, last, above, {Slot: last.Slot + 1, Index: 1}, {Slot: first.Slot}, {}}
	for _, when := range []string{"migrated", "started again"} {
		e := start(t, owner.Options{Store: s}, idle{})
		knows(t, when, e, all, first, last)
		next := apply(t, e, upsert("z", `{}`))
		if next.String() <= last.String() || len(next.String()) != len(last.String()) {
			t.Errorf("%s: %v does not sort after %v as text", when, next, last)
		}
		last, all = next, append(all, next)
		first = next
		s = s.copied()
		all = all[len(all)-1:]
	}
}

func TestSeqRises(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.UnixMilli(1_893_450_000_000)
		e := newNode(owner.Options{Now: func() time.Time { return now }, Tag: func() uint64 { return 42 }})
		stop := run(t, e, idle{})
		step := func(text string) {
			t.Helper()
			seq, err := e.Apply(context.Background(), batch(upsert("a", `{}`), upsert("b", `{}`)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "seq", seq.String(), text)
			same(t, "M27 both mutations of a batch", []entity.Seq{get(e, "a").Seq, get(e, "b").Seq}, []entity.Seq{seq, seq})
		}
		step("1893450000000:000042000001")
		step("1893450000000:000042000002")
		now = now.Add(time.Millisecond)
		step("1893450000001:000042000001")
		now = now.Add(-time.Hour) // the clock is set
		step("1893450000001:000042000002")
		now = now.Add(2 * time.Hour)
		step("1893453600001:000042000001")
		same(t, "number", get(e, "b").Number, 10)
		stop()
	})
}

// Clients sort positions as text. So whatever the tags, and however soon the next start comes,
// no position may be below one from before.
func TestPositionsRiseOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		before := ""
		for _, tag := range []uint64{500_000, 1, 999_999, 2, 2, 7} {
			now := time.UnixMilli(1_893_450_000_000) // it stands still
			e := newNode(owner.Options{Store: s, Now: func() time.Time { return now }, Tag: func() uint64 { return tag }})
			if err := e.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			stop := run(t, e, idle{})
			for range 3 {
				seq := apply(t, e, patch("a", `{}`))
				if text := seq.String(); text <= before || len(text) != 26 {
					t.Errorf("tag %d: %s comes after %s", tag, text, before)
				}
				before = seq.String()
			}
			stop()
		}
		if !strings.Contains(before, ":000007") {
			t.Errorf("the last position is %s, want tag 7", before)
		}
	})
}

func TestATagIsNotGivenTwice(t *testing.T) {
	t.Parallel()
	s := newShelf()
	tags := map[uint64]bool{}
	for range 1100 {
		e := newNode(owner.Options{Store: s, Tag: func() uint64 { return 999_999 }})
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, e, idle{})
		tag := apply(t, e, patch("a", `{}`)).Tag()
		stop()
		if tags[tag] && len(tags) < 1000 || tag == 0 || tag > 999_999 {
			t.Fatalf("start %d: tag %d", len(tags), tag)
		}
		tags[tag] = true
	}
	same(t, "runs stored", len(s.runs), 1000)
	for range 20 {
		if err := newNode(owner.Options{Store: s}).Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	empty := 0
	for _, r := range s.runs {
		if r.Last.Index%1_000_000 == 0 {
			empty++
		}
	}
	same(t, "runs without a change, but for the present one", empty, 1)
}

// A start that cannot be stored serves: its positions are only not known later.
func TestAStartThatCannotBeStored(t *testing.T) {
	t.Parallel()
	s := newShelf()
	e := start(t, owner.Options{Store: s}, idle{})
	a := apply(t, e, upsert("a", `{}`))
	s.fail(errDisk)
	e = start(t, owner.Options{Store: s}, idle{})
	if _, err := e.Apply(t.Context(), batch(upsert("b", `{}`))); !errors.Is(err, errDisk) {
		t.Errorf("Apply: %v, want %v", err, errDisk)
	}
	s.fail(nil)
	b := apply(t, e, upsert("b", `{}`))
	knows(t, "as long as it runs", e, []entity.Seq{a, b}, a, b)
	e = start(t, owner.Options{Store: s}, idle{})
	if e.Knows(b) {
		t.Errorf("%v is known, though its run was not stored", b)
	}
	c := apply(t, e, upsert("c", `{}`))
	knows(t, "after the next start", e, []entity.Seq{c}, c)
}

// TestRandomRuns checks that a server knows exactly the positions of its own past: those that
// were given out before it began with a copy of the store, and by itself since.
func TestRandomRuns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.UnixMilli(1_893_450_000_000)
		tags := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)).Perm(999_999)
		o := owner.Options{Now: func() time.Time { return now }, MaxTombstones: 2, Tag: func() uint64 {
			tag := tags[0]
			tags = tags[1:]
			return uint64(tag + 1)
		}}
		type server struct {
			shelf *shelf // nil: none
			past  map[entity.Seq]bool
			e     *node
			stop  func()
		}
		begin := func(s *shelf, past map[entity.Seq]bool) *server {
			o := o
			if s != nil {
				o.Store = s
			} else {
				past = nil
			}
			own := map[entity.Seq]bool{}
			for seq := range past {
				own[seq] = true
			}
			e, stop := openIdle(rt, t, o)
			return &server{s, own, e, stop}
		}
		servers := []*server{begin(newShelf(), nil), begin(nil, nil)}
		defer func() {
			for _, s := range servers {
				s.stop()
			}
		}()
		given := []entity.Seq{{}, entity.ParseSeq("9999999999999:000000000001")}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(rt *rapid.T) {
				s := rapid.SampledFrom(servers).Draw(rt, "server")
				now = now.Add(time.Duration(rapid.IntRange(-2, 2).Draw(rt, "ms")) * time.Millisecond)
				m := upsert(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "key"), `{}`)
				if rapid.Bool().Draw(rt, "delete") {
					m = remove(m.Key)
				}
				seq, err := s.e.Apply(t.Context(), batch(m))
				if err != nil {
					rt.Fatal(err)
				}
				if seq != (entity.Seq{}) {
					s.past[seq] = true
					given = append(given, seq)
				}
			},
			"restart": func(rt *rapid.T) {
				i := rapid.IntRange(0, len(servers)-1).Draw(rt, "server")
				s := servers[i]
				s.stop()
				servers[i] = begin(s.shelf, s.past)
			},
			"copy": func(rt *rapid.T) {
				s := rapid.SampledFrom(servers).Draw(rt, "server")
				if s.shelf != nil && len(servers) < 5 {
					servers = append(servers, begin(s.shelf.copied(), s.past))
				}
			},
			"": func(rt *rapid.T) {
				for i, s := range servers {
					for _, seq := range given {
						if got := s.e.Knows(seq); got != s.past[seq] {
							rt.Fatalf("server %d: Knows(%v) is %v", i, seq, got)
						}
					}
				}
			},
		})
	})
}

func openIdle(rt *rapid.T, t *testing.T, o owner.Options) (*node, func()) {
	e := newNode(o)
	if err := e.Load(t.Context()); err != nil {
		rt.Fatal(err)
	}
	return e, run(t, e, idle{})
}
