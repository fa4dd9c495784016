package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/log"
)

// refused appends good and bad groups at the same time: nothing of a bad one is stored, and no good one
// suffers from it.
func refused(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	const all, each = 4, 30
	var running sync.WaitGroup
	for i := range all {
		good, bad := fmt.Sprint("good-", i), fmt.Sprint("bad-", i)
		running.Go(func() {
			for serial := uint64(1); serial <= each; serial++ {
				if _, err := n.Append(t.Context(), n.tenure, publications(good, "s", serial, serial)); err != nil {
					t.Errorf("%s: %v", good, err)
				}
			}
		})
		running.Go(func() {
			for range each {
				_, err := n.Append(t.Context(), n.tenure, []log.Record{publication(bad, "s", 1), publication(bad, "s", 3)})
				if !errors.Is(err, log.ErrInvalid) || errors.Is(err, log.ErrUncertain) {
					t.Errorf("%s: %v, want ErrInvalid", bad, err)
				}
			}
		})
	}
	running.Wait()
	last, changed := n.Committed()
	before := n.entries(0)
	for name, group := range map[string][]log.Record{
		"a gap":    {publication("bad-0", "s", 1), publication("good-0", "s", each+2)},
		"too much": {publication("bad-0", "s", 1), large()},
	} {
		if _, err := n.Append(t.Context(), n.tenure, group); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
	select {
	case <-changed:
		t.Error("what was refused is announced")
	default:
	}
	if again, _ := n.Committed(); again != last {
		t.Errorf("the last entry was %d, it is %d after refusals", last, again)
	}
	same(t, "entries after refusals", before, n.entries(0))
	n.each(func(when string) {
		for i := range all {
			n.keeps(when, fmt.Sprint("good-", i), "s", 1, each)
			same(t, when, log.Stream{}, n.stream(fmt.Sprint("bad-", i)))
		}
	})
}

// givesUpUnderLoad ends the contexts of appends at any moment. After the context's error alone the same
// serial is free; after ErrUncertain what is read says whether it is.
func givesUpUnderLoad(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	const all, each = 8, 60
	var running sync.WaitGroup
	var given, uncertain atomic.Int64
	for i := range all {
		running.Go(func() {
			name, aside := fmt.Sprint("topic-", i), fmt.Sprint("aside-", i)
			asides := uint64(0)
			for serial, try := uint64(1), 1; serial <= each; try++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(try%7*100)*time.Microsecond)
				if try%7 == 0 {
					ctx = t.Context()
				}
				_, err := n.Append(ctx, n.tenure, publications(name, "s", serial, serial))
				cancel()
				switch {
				case err == nil:
					serial++
				case errors.Is(err, log.ErrUncertain):
					uncertain.Add(1)
					asides++
					n.append(publication(aside, "s", asides)) // it is stored after what came before
					if s := n.stream(name); s.Next == serial+1 {
						serial++
					}
				case errors.Is(err, context.DeadlineExceeded):
					given.Add(1)
				default:
					t.Errorf("%s, serial %d: %v", name, serial, err)
					return
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d appends were given up, %d of them were uncertain", given.Load()+uncertain.Load(), uncertain.Load())
	n.each(func(when string) {
		for i := range all {
			n.keeps(when, fmt.Sprint("topic-", i), "s", 1, each)
		}
	})
}

// readAcrossTrim trims in the middle of a reading: it goes on without a gap, or says that it cannot.
func readAcrossTrim(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	const last = 150
	for serial := uint64(1); serial <= last; serial++ {
		n.append(publication("a", "s", serial))
	}
	n.fold()
	for _, c := range []struct{ from, trimAt, before log.Index }{{1, 1, 3}, {3, 10, 100}, {100, 100, last + 1}} {
		next := c.from
		err := n.Read(t.Context(), c.from, func(i log.Index, _ log.Term, records []log.Record) error {
			if i != next || len(records) != 1 || records[0].Publication.Serial != uint64(i) {
				t.Errorf("entry %d follows %d", i, next-1)
			}
			next++
			if i == c.trimAt {
				return n.Trim(t.Context(), c.before)
			}
			return nil
		})
		if isWhole := err == nil && next == last+1; !isWhole && !errors.Is(err, log.ErrTrimmed) {
			t.Errorf("from %d, trimmed below %d at %d: the last was %d, %v", c.from, c.before, c.trimAt, next-1, err)
		}
	}
	n.each(func(when string) { n.keeps(when, "a", "s", 1, last) })
}

// trimUnderReaders trims all the time: those who read on miss nothing but what they are told of, and
// history has everything.
func trimUnderReaders(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	const last = 300
	var acknowledged atomic.Uint64
	var running sync.WaitGroup
	written := make(chan struct{})
	running.Go(func() {
		defer close(written)
		defer acknowledged.Store(last)
		for serial := uint64(1); serial <= last; serial++ {
			index := n.append(publication("a", "s", serial))
			acknowledged.Store(serial)
			if serial%15 > 0 {
				continue
			}
			n.fold()
			if err := n.Trim(t.Context(), index-5); err != nil {
				t.Errorf("Trim: %v", err)
			}
		}
	})
	running.Go(func() {
		for from := log.Index(1); from <= last; {
			err := n.Read(t.Context(), from, func(i log.Index, _ log.Term, records []log.Record) error {
				if i != from || len(records) != 1 || records[0].Publication.Serial != uint64(i) {
					return fmt.Errorf("entry %d is read where %d should be", i, from)
				}
				from++
				return nil
			})
			switch committed, changed := n.Committed(); {
			case errors.Is(err, log.ErrTrimmed):
				from++
			case err != nil:
				t.Errorf("Read: %v", err)
				return
			case from > committed && committed < last:
				select {
				case <-changed:
				case <-written: // it ends early if it has failed
					return
				}
			}
		}
	})
	running.Go(func() {
		for at := uint64(0); at < last; {
			at = acknowledged.Load()
			p := n.page("a", log.Query{Limit: 2 * last})
			if all := serials(p); uint64(len(all)) < at || len(all) > 0 && (all[0] != 1 || all[len(all)-1] != uint64(len(all))) {
				t.Errorf("%d was acknowledged, a page has %v", at, all)
				return
			}
		}
	})
	running.Wait()
	n.each(func(when string) { n.keeps(when, "a", "s", 1, last) })
}

// fullDisk fills the disk: appends are refused, what is stored can be read, and it goes on when there is
// room.
func fullDisk(t *testing.T, h Harness) {
	if h.Fill == nil {
		t.Skip("this log's disk cannot be made full")
	}
	n := open(t, h, Setup{})
	n.append(publications("a", "s", 1, 40)...)
	n.fold()
	h.Fill(true)
	next := uint64(41)
	store := func() error {
		_, err := n.Append(t.Context(), n.tenure, publications("a", "s", next, next+19))
		return err
	}
	err := store()
	for ; err == nil && next < 10_000; err = store() {
		next += 20
	}
	for _, when := range []string{"full", "still full"} {
		last, _ := n.Committed()
		if err := store(); !errors.Is(err, log.ErrNotStored) || errors.Is(err, log.ErrUncertain) {
			t.Errorf("%s: %v, want ErrNotStored", when, err)
		}
		if again, _ := n.Committed(); again != last {
			t.Errorf("%s: the last entry was %d, it is %d", when, last, again)
		}
		n.keeps(when, "a", "s", 1, next-1)
		if err := n.Fold(t.Context()); err != nil {
			t.Logf("Fold on a full disk: %v", err)
		}
		n.keeps(when+", after a fold", "a", "s", 1, next-1)
	}
	h.Fill(false)
	if err := store(); err != nil {
		t.Errorf("when there is room: %v", err)
	}
	n.each(func(when string) { n.keeps(when, "a", "s", 1, next+19) })
}

// beside opens the log where it is open.
func beside(t *testing.T, h Harness) {
	if h.OpenBeside == nil {
		t.Skip("this log may be opened several times")
	}
	n := open(t, h, Setup{})
	n.append(publication("a", "s", 1))
	if err := h.OpenBeside(t.Context()); err == nil {
		t.Error("it can be opened again while it is open")
	}
	n.append(publication("a", "s", 2))
	n.each(func(when string) {
		n.keeps(when, "a", "s", 1, 2)
		if err := h.OpenBeside(t.Context()); err == nil {
			t.Errorf("%s: it can be opened again while it is open", when)
		}
	})
}

// clockStepsBack has publications that are older than what was published before them.
func clockStepsBack(t *testing.T, h Harness) {
	var now atomic.Int64
	n := open(t, h, Setup{Retention: log.Retention{Age: 50}, Now: func() time.Time { return time.UnixMilli(start + now.Load()) }})
	at := func(serial uint64, decided int64) log.Record {
		r := publication("a", "s", serial)
		r.Publication.Time = start + decided
		return r
	}
	now.Store(110)
	for serial := uint64(1); serial <= 5; serial++ {
		n.append(at(serial, 99+int64(serial)))
	}
	for serial := uint64(6); serial <= 10; serial++ {
		n.append(at(serial, 14+int64(serial)))
	}
	for serial := uint64(11); serial <= 15; serial++ {
		n.append(at(serial, 189+int64(serial)))
	}
	has := func(when string, q log.Query, want []uint64) {
		t.Helper()
		p := n.page("a", q)
		same(t, fmt.Sprintf("%s: %+v", when, q), want, serials(p))
		if p.Stream.Next != 16 {
			t.Errorf("%s: stream %+v", when, p.Stream)
		}
	}
	n.each(func(when string) { // the oldest is not too old, so what follows it stays
		has(when, log.Query{WithState: true}, count(1, 15))
		has(when, log.Query{Since: start + 100, Until: start + 104}, count(1, 5))
		has(when, log.Query{Since: start + 20, Until: start + 24}, count(6, 10))
		has(when, log.Query{Since: start + 23, Until: start + 101, NewestFirst: true, Limit: 3}, []uint64{10, 9, 2})
	})
	now.Store(152)
	n.each(func(when string) { has(when, log.Query{}, count(3, 15)) })
	now.Store(160)
	n.each(func(when string) { has(when, log.Query{WithState: true}, count(11, 15)) })
	now.Store(100)
	n.each(func(when string) {
		all := serials(n.page("a", log.Query{}))
		if len(all) < 5 || len(all) > 15 {
			t.Fatalf("%s: after the clock has stepped back: %v", when, all)
		}
		same(t, when+": after the clock has stepped back", count(16-uint64(len(all)), 15), all)
	})
}
