package owner_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	heard := &listener{}
	e := start(t, owner.Options{}, heard)
	first := apply(t, e, upsert("a", `{"x":1}`), upsert("b", `{}`))
	heard.take()
	seq := apply(t, e, remove("a"), remove("unknown"))
	c := heard.last(t)
	if c.Op != entity.OpDelete || c.Key != "a" || c.New != nil || c.Old == nil || c.Seq != seq || c.Number != 3 || c.Patch != nil {
		t.Errorf("change: %+v", c)
	}
	typ := e.Find("app", "Auction")
	same(t, "tombstones", typ.DeletedAfterLocked(nil, 0, 9), []entity.Tombstone{{Key: "a", Seq: seq, Number: 3}})
	same(t, "seq of a batch that changes nothing", apply(t, e, remove("unknown")), seq)
	same(t, "changes", len(heard.take()), 0)

	again := apply(t, e, patch("a", `{"y":2}`))
	same(t, "created again", stored(t, e, "a"), `{"y":2}`)
	same(t, "tombstones", len(typ.DeletedAfterLocked(nil, 0, 9)), 0)
	if c := heard.last(t); c.Old != nil || c.Number != 4 {
		t.Errorf("change: %+v", c)
	}
	same(t, "number at the first", typ.NumberAtLocked(first), 2)
	same(t, "number at the deletion", typ.NumberAtLocked(seq), 2) // 3 has been overtaken
	same(t, "number now", typ.NumberAtLocked(again), 4)
	same(t, "nothing to delete of an unknown type", apply(t, e, entity.Mutation{Type: "Unknown", Op: entity.OpDelete}), again)
	if e.Find("app", "Unknown") != nil {
		t.Error("the unknown type is known")
	}
}

func TestManyChangesOfAKeyInABatch(t *testing.T) {
	t.Parallel()
	heard := &listener{}
	e := start(t, owner.Options{}, heard)
	apply(t, e, upsert("a", `{"l":[1]}`))
	heard.take()
	apply(t, e,
		patch("a", `{"l":[2]}`, "l"), patch("b", `{"l":[1]}`, "l"), patch("a", `{"l":[3]}`, "l"), remove("b"),
		patch("b", `{"l":[7]}`, "l"), remove("a"), remove("a"), patch("a", `{"l":[4]}`, "l"), patch("c", `{}`), remove("c"))
	same(t, "a", stored(t, e, "a"), `{"l":[4]}`)
	same(t, "b", stored(t, e, "b"), `{"l":[7]}`)
	same(t, "c", stored(t, e, "c"), ``)
	changes := heard.take()
	same(t, "changes", len(changes), 9)
	latest := map[string]*entity.Version{"a": changes[0].Old}
	for i, c := range changes {
		if c.Old != latest[c.Key] || c.Number != uint64(i+2) || c.New != nil && c.New.Number != c.Number {
			t.Errorf("change %d does not follow from those before: %+v", i, c)
		}
		latest[c.Key] = c.New
	}
	typ := e.Find("app", "Auction")
	typ.RLock()
	defer typ.RUnlock()
	var live []string
	for _, v := range typ.AfterLocked(nil, 0, 9) {
		live = append(live, v.Key)
	}
	same(t, "live by number", live, []string{"b", "a"})
	same(t, "live", typ.LenLocked(), 2)
	same(t, "tombstones", typ.DeletedAfterLocked(nil, 0, 9)[0].Key, "c")
}

func TestReads(t *testing.T) {
	t.Parallel()
	e := start(t, owner.Options{}, idle{})
	var seqs []entity.Seq
	for i := range 6 {
		seqs = append(seqs, apply(t, e, upsert(key(2*i), `{}`), upsert(key(2*i+1), `{}`)))
	}
	seqs = append(seqs, apply(t, e, remove(key(3)))) // number 13
	typ := e.Find("app", "Auction")
	typ.RLock()
	defer typ.RUnlock()
	numbers := func(versions []*entity.Version) (all []uint64) {
		for _, v := range versions {
			all = append(all, v.Number)
		}
		return all
	}
	same(t, "after", numbers(typ.AfterLocked(nil, 2, 3)), []uint64{3, 5, 6})
	same(t, "after the last", numbers(typ.AfterLocked(nil, 12, 3)), nil)
	same(t, "none after", numbers(typ.AfterLocked(nil, 0, 0)), nil)
	same(t, "before", numbers(typ.BeforeLocked(nil, 6, 3)), []uint64{5, 3, 2})
	same(t, "before all", numbers(typ.BeforeLocked(nil, 100, 2)), []uint64{12, 11})
	same(t, "before the first", numbers(typ.BeforeLocked(nil, 1, 2)), nil)
	same(t, "count", typ.CountAfterLocked(4), 8)
	seq, number := typ.LastLocked()
	same(t, "last", seq, seqs[6])
	same(t, "last number", number, 13)
	for i, want := range []uint64{2, 3, 6, 8, 10, 12, 13} {
		same(t, "number at "+seqs[i].String(), typ.NumberAtLocked(seqs[i]), want)
	}
	same(t, "number before all", typ.NumberAtLocked(entity.Seq{}), 0)
	same(t, "number of the future", typ.NumberAtLocked(entity.ParseSeq("9999999999999")), 13)
	same(t, "M21 garbage", typ.NumberAtLocked(entity.ParseSeq("garbage")), 0)
}

func TestTypes(t *testing.T) {
	t.Parallel()
	e := start(t, owner.Options{}, idle{})
	declared := e.Declare("app", "Zebra")
	if e.Declare("app", "Zebra") != declared || e.Find("app", "Zebra") != declared || e.Find("other", "Zebra") != nil {
		t.Error("a declared type is not one")
	}
	apply(t, e, upsert("a", `{}`), entity.Mutation{Type: "Zebra", Data: []byte(`{}`)})
	if _, err := e.Apply(t.Context(), &entity.Batch{App: "other", Mutations: []entity.Mutation{upsert("a", `{}`)}}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, typ := range e.Types("app") {
		names = append(names, typ.Name)
	}
	same(t, "types", names, []string{"Auction", "Zebra"})
	same(t, "entities of the declared type", declared.LenLocked(), 1)
	same(t, "types of another app", len(e.Types("other")), 1)
}

func TestRepeatedBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		heard, s := &listener{}, newShelf()
		o := owner.Options{Store: s, ReceiptTTL: time.Hour, MaxReceipts: 3}
		e := newNode(o)
		stop := run(t, e, heard)
		add := func(key, app string) entity.Seq {
			seq, err := e.Apply(context.Background(), &entity.Batch{App: app, IdempotencyKey: key, Mutations: []entity.Mutation{patch("a", `{"l":[1]}`, "l")}})
			if err != nil {
				t.Fatalf("Apply: %v", err)
			}
			return seq
		}
		first := add("k", "app")
		if again := add("k", "app"); again != first {
			t.Errorf("the repeated batch is answered with %v, want %v", again, first)
		}
		same(t, "another app's", len(heard.take()), 1)
		add("k", "other")
		add("", "app")
		add("", "app")
		same(t, "stored", stored(t, e, "a"), `{"l":[1,1,1]}`)
		same(t, "changes", len(heard.take()), 3)

		stop()
		e = newNode(o)
		if err := e.Load(context.Background()); err != nil {
			t.Fatal(err)
		}
		stop = run(t, e, heard)
		if again := add("k", "app"); again != first {
			t.Errorf("after a restart the repeated batch is answered with %v, want %v", again, first)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if again := add("k", "app"); again != first {
			t.Errorf("just before its end the repeated batch is answered with %v, want %v", again, first)
		}
		time.Sleep(time.Nanosecond)
		if again := add("k", "app"); again == first {
			t.Error("the receipt has not expired")
		}
		add("l", "app")
		add("m", "app")
		second := add("n", "app") // the fourth that is remembered: k is not
		heard.take()
		same(t, "the newest", add("n", "app"), second)
		same(t, "changes", len(heard.take()), 0)
		add("k", "app")
		same(t, "changes when too many are remembered", len(heard.take()), 1)
		stop()
	})
}

func TestRepeatedInOneGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, broken := range []error{nil, errDisk} {
			s := newShelf()
			s.gate = make(chan struct{})
			e := newNode(owner.Options{Store: s})
			stop := run(t, e, idle{})
			answers := make(chan answer, 9)
			send := func(b *entity.Batch) {
				go func() {
					seq, err := e.Apply(context.Background(), b)
					answers <- answer{seq, err}
				}()
				synctest.Wait()
			}
			repeated := batch(patch("a", `{"l":[1]}`, "l"))
			repeated.IdempotencyKey = "k"
			send(batch(upsert("b", `{}`))) // keeps the applier busy
			send(repeated)
			send(batch(patch("a", `{"l":[3]}`, "l"), patch("b", `{"x":{}}`, "x"))) // refused before it waits
			send(repeated)
			send(batch(patch("a", `{"l":[2]}`, "l")))
			if got := (<-answers).err; got == nil {
				t.Error("the bad batch was applied")
			}
			s.gate <- struct{}{}
			if got := (<-answers).err; got != nil {
				t.Error(got)
			}
			s.fail(broken)
			s.gate <- struct{}{}
			got := []answer{<-answers, <-answers, <-answers}
			for _, a := range got {
				if !errors.Is(a.err, broken) {
					t.Errorf("the group is answered with %v, want %v", a.err, broken)
				}
			}
			want := `{"l":[1,2]}`
			if broken != nil {
				s.fail(nil)
				send(repeated)
				s.gate <- struct{}{}
				if a := <-answers; a.err != nil {
					t.Error(a.err)
				}
				want = `{"l":[1]}`
			}
			same(t, "stored", stored(t, e, "a"), want)
			stop()
		}
	})
}

type answer struct {
	seq entity.Seq
	err error
}

func TestAFailedCommitChangesNothing(t *testing.T) {
	t.Parallel()
	heard, s := &listener{}, newShelf()
	e := start(t, owner.Options{Store: s, MaxTombstones: 1}, heard)
	apply(t, e, upsert("a", `{"x":1}`), upsert("b", `{}`), upsert("gone", `{}`), remove("gone"))
	typ := e.Find("app", "Auction")
	before := get(e, "a")
	seq := before.Seq
	heard.take()
	s.fail(errDisk)
	_, err := e.Apply(t.Context(), batch(patch("a", `{"x":2}`), patch("a", `{"x":3}`), remove("b"), upsert("gone", `{}`), upsert("c", `{}`),
		entity.Mutation{Type: "Other", Data: []byte(`{}`)}))
	if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "entity: commit:") {
		t.Errorf("Apply: %v, want %v", err, errDisk)
	}
	if get(e, "a") != before || get(e, "b") == nil || get(e, "c") != nil || get(e, "gone") != nil || len(heard.take()) > 0 || e.Find("app", "Other") != nil {
		t.Error("the group that was not stored changed something")
	}
	same(t, "tombstones", len(typ.DeletedAfterLocked(nil, 0, 9)), 1)
	s.fail(nil)
	same(t, "seq of a batch that changes nothing", apply(t, e, remove("unknown")), seq)
	apply(t, e, patch("a", `{"y":2}`))
	same(t, "afterwards", stored(t, e, "a"), `{"x":1,"y":2}`)
	if c := heard.last(t); c.Number != 10 || c.Old != before { // 5 to 9 are gone for good
		t.Errorf("the change after it: %+v", c)
	}
}

// However many mutations a broken store refuses, the log has one line a second about them.
func TestRefusedMutationsAreLoggedBySample(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newShelf()
		e := newNode(owner.Options{Store: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
		stop := run(t, e, idle{})
		s.fail(errDisk)
		for second := range 3 {
			for range 100 {
				if _, err := e.Apply(t.Context(), batch(upsert("a", `{}`))); !errors.Is(err, entity.ErrNotStored) || !errors.Is(err, errDisk) {
					t.Fatalf("got %v, want ErrNotStored and why", err)
				}
			}
			if got := strings.Count(log.String(), "the disk is full"); got != second+1 {
				t.Errorf("%d lines within %d s:\n%s", got, second, &log)
			}
			time.Sleep(time.Second)
		}
		if !strings.Contains(log.String(), "more_since_last=99") {
			t.Errorf("it does not say how many there were:\n%s", &log)
		}
		stop()
	})
}

func TestBackpressureAndWithdrawal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.gate = make(chan struct{})
		registry := prometheus.NewRegistry()
		state := entity.NewState(entity.NewMetrics(registry))
		e := &node{owner.New(state, owner.Options{Store: s, MaxWaiting: 2000, Metrics: owner.NewMetrics(registry)}), state}
		stop := run(t, e, idle{})
		answers := make(chan answer, 9)
		send := func(ctx context.Context, key string) {
			go func() {
				seq, err := e.Apply(ctx, batch(upsert(key, `{"a":"`+strings.Repeat("x", 300)+`"}`)))
				answers <- answer{seq, err}
			}()
			synctest.Wait()
		}
		taken, cancelTaken := context.WithCancel(context.Background())
		waiting, cancelWaiting := context.WithCancel(context.Background())
		send(taken, "taken")
		send(waiting, "withdrawn")
		send(context.Background(), "kept")
		send(context.Background(), "too much")
		if a := <-answers; !errors.Is(a.err, entity.ErrBackpressure) {
			t.Errorf("beyond the limit: %v, want %v", a.err, entity.ErrBackpressure)
		}
		cancelTaken()
		cancelWaiting()
		for range 2 {
			if a := <-answers; !errors.Is(a.err, context.Canceled) {
				t.Errorf("a caller that is gone: %v", a.err)
			}
		}
		send(waiting, "never")
		if a := <-answers; !errors.Is(a.err, context.Canceled) {
			t.Errorf("a caller that was gone: %v", a.err)
		}
		send(context.Background(), "room again")
		s.gate <- struct{}{}
		s.gate <- struct{}{}
		for range 2 {
			if a := <-answers; a.err != nil {
				t.Error(a.err)
			}
		}
		live, _ := s.keys()
		same(t, "stored", live, []string{"kept", "room again", "taken"})
		same(t, "commits", s.sizes, []int{1, 2})
		stop()
		for name, want := range map[string]float64{
			"millrace_entity_batches_total": 3, "millrace_entity_entities": 3, "millrace_entity_mutations_total upsert": 3,
			"millrace_entity_mutations_total delete": 0, "millrace_entity_refusals_total backpressure": 1,
			"millrace_entity_refusals_total cancelled": 3, "millrace_entity_waiting_bytes": 0, "millrace_entity_tombstones": 0,
		} {
			same(t, name, gather(t, registry)[name], want)
		}
	})
}

// gather is the values of counters and gauges by name and label.
func gather(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			if labels := m.GetLabel(); len(labels) > 0 {
				name += " " + labels[0].GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestABadBatchLeavesItsGroupAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		heard, s := &listener{}, newShelf()
		s.gate = make(chan struct{})
		e := newNode(owner.Options{Store: s, MaxSize: 300})
		stop := run(t, e, heard)
		answers := make(chan answer, 9)
		send := func(mutations ...entity.Mutation) {
			go func() {
				seq, err := e.Apply(context.Background(), batch(mutations...))
				answers <- answer{seq, err}
			}()
			synctest.Wait()
		}
		large := `{"x":"` + strings.Repeat("x", 220) + `"}`
		send(upsert("a", `{"l":[1]}`), upsert("full", large), upsert("gone", `{}`))
		tooLarge := patch("full", strings.Replace(large, "x", "y", 1)) // by the merge only, so the applier finds out
		send(patch("a", `{"l":[2]}`, "l"), patch("b", `{"l":[1]}`, "l"), remove("gone"))
		send(patch("a", `{"l":[9]}`, "l"), patch("b", `{"l":[9]}`, "l"), patch("c", `{}`), patch("gone", `{}`), patch("a", `{"l":[9]}`, "l"), tooLarge)
		send(patch("a", `{"l":[3]}`, "l"), patch("b", `{"l":[2]}`, "l"), remove("c"), remove("gone"))
		close(s.gate)
		refusals := 0
		for range 4 {
			if a := <-answers; a.err != nil {
				same(t, "refusal", a.err, error(&entity.Error{Index: 5, Message: "the entity would be larger than 300 bytes"}))
				refusals++
			}
		}
		same(t, "refusals", refusals, 1)
		same(t, "a", stored(t, e, "a"), `{"l":[1,2,3]}`)
		same(t, "b", stored(t, e, "b"), `{"l":[1,2]}`)
		same(t, "c", stored(t, e, "c"), ``)
		same(t, "gone", stored(t, e, "gone"), ``)
		same(t, "records of each commit", s.sizes, []int{3, 3})
		var numbers []uint64
		for _, c := range heard.take() {
			numbers = append(numbers, c.Number)
		}
		same(t, "numbers", numbers, []uint64{1, 2, 3, 4, 5, 6, 7, 8})
		stop()
	})
}

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.gate = make(chan struct{})
		e := newNode(owner.Options{Store: s})
		stop := run(t, e, idle{})
		answers := make(chan answer, 99)
		for i := range 12 {
			go func() {
				b := &entity.Batch{App: "app"}
				for j := range 700 {
					b.Mutations = append(b.Mutations, upsert(key(1000*i+j), `{}`))
				}
				seq, err := e.Apply(context.Background(), b)
				answers <- answer{seq, err}
			}()
			synctest.Wait()
		}
		close(s.gate)
		for range 12 {
			if a := <-answers; a.err != nil {
				t.Error(a.err)
			}
		}
		same(t, "records of each commit", s.sizes, []int{700, 5 * 700, 5 * 700, 700})
		stop()
	})
}

func TestShutdownAppliesWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.gate = make(chan struct{})
		e := newNode(owner.Options{Store: s})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- e.Run(ctx, idle{}) }()
		answers := make(chan answer, 9)
		send := func(key string) {
			go func() {
				seq, err := e.Apply(context.Background(), batch(upsert(key, `{}`)))
				answers <- answer{seq, err}
			}()
			synctest.Wait()
		}
		send("a")
		send("b")
		cancel()
		synctest.Wait()
		s.gate <- struct{}{} // a
		synctest.Wait()
		send("too late")
		if a := <-answers; a.err != nil {
			t.Error(a.err)
		}
		if a := <-answers; !errors.Is(a.err, entity.ErrClosed) {
			t.Errorf("after the end: %v, want %v", a.err, entity.ErrClosed)
		}
		s.gate <- struct{}{} // b
		if a := <-answers; a.err != nil {
			t.Error(a.err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		live, _ := s.keys()
		same(t, "stored", live, []string{"a", "b"})
	})
}
