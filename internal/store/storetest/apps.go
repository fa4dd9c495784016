package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/app"
)

type appNode = node[app.Store]

// RunApps checks an app.Store.
func RunApps(t *testing.T, open Open[app.Store]) {
	run(t, open, map[string]func(t *testing.T, n *appNode){
		"an empty store has no apps":                                   func(t *testing.T, n *appNode) { expectApps(t, n) },
		"a new app comes back as version 1, and each change adds one":  keepsApps,
		"keys keep their order, and an app may have none":              keepsKeyOrder,
		"a document comes back byte for byte":                          keepsDocuments,
		"many apps come back by the bytes of their ids":                keepsManyApps,
		"only the present version can be changed":                      refusesOtherVersions,
		"only the present version can be deleted":                      refusesOtherDeletes,
		"an app that was deleted begins anew":                          beginsAnew,
		"a key belongs to one app, and a refusal leaves all as it was": refusesTakenKeys,
		"a key moves once its app has given it up":                     movesKeys,
		"an app cannot have a key twice":                               refusesDoubleKeys,
		"of writers that race for a version one wins":                  racesForVersions,
		"of writers that race for a key one wins":                      racesForKeys,
		"loading sees one moment while apps change":                    loadsOneMoment,
		"apps can be changed from within a loading":                    changesWhileLoading,
		"an error of a callback ends the loading and comes back":       stopsLoadingApps,
		"a context that has ended changes nothing":                     refusesEndedContexts,
		"watching ends with its context":                               endsWatching,
		"random changes and restarts agree with a map in memory":       agreesWithAppModel,
	})
}

func appRecord(id string, version uint64, keys ...string) app.Record {
	return app.Record{ID: id, Keys: keys, Document: fmt.Appendf(nil, `{"id":%q,"after":%d}`, id, version), Version: version}
}

// put stores an app and returns it as it should come back.
func put(t *testing.T, n *appNode, r app.Record) app.Record {
	t.Helper()
	got, err := n.store.PutApp(t.Context(), r)
	if err != nil {
		t.Fatalf("PutApp %s: %v", r.ID, err)
	}
	want := r
	want.Version++
	if diff := gocmp.Diff(want, got, sameApps(), cmpopts.IgnoreFields(app.Record{}, "Changed")); diff != "" {
		t.Fatalf("PutApp %s (-want +got):\n%s", r.ID, diff)
	}
	if got.Changed.IsZero() {
		t.Fatalf("PutApp %s: no time", r.ID)
	}
	return got
}

func refuse(t *testing.T, n *appNode, r app.Record, want error) {
	t.Helper()
	if got, err := n.store.PutApp(t.Context(), r); !errors.Is(err, want) {
		t.Errorf("PutApp %s in place of version %d: got %+v, %v; want %v", r.ID, r.Version, got, err, want)
	}
}

func deleteApp(t *testing.T, n *appNode, id string, version uint64, want error) {
	t.Helper()
	if err := n.store.DeleteApp(t.Context(), id, version); !errors.Is(err, want) {
		t.Errorf("DeleteApp %s, version %d: got %v, want %v", id, version, err, want)
	}
}

// sameApps compares documents as text, which reads better.
func sameApps() gocmp.Options {
	return gocmp.Options{cmpopts.EquateEmpty(), gocmp.Transformer("text", func(b []byte) string { return string(b) })}
}

func loadApps(t *testing.T, s app.Store) (all []app.Record) {
	t.Helper()
	if err := s.LoadApps(t.Context(), func(r app.Record) error { all = append(all, r); return nil }); err != nil {
		t.Fatalf("LoadApps: %v", err)
	}
	return all
}

// expectApps wants exactly these, by id.
func expectApps(t *testing.T, n *appNode, want ...app.Record) {
	t.Helper()
	slices.SortFunc(want, func(a, b app.Record) int { return strings.Compare(a.ID, b.ID) })
	n.each(t, func(when string) {
		if diff := gocmp.Diff(want, loadApps(t, n.store), sameApps()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	})
}

func keepsApps(t *testing.T, n *appNode) {
	a := put(t, n, appRecord("a", 0, "key-a"))
	b := put(t, n, appRecord("b", 0, "key-b"))
	expectApps(t, n, a, b)
	a = put(t, n, appRecord("a", 1, "key-a", "key-a-2"))
	a = put(t, n, appRecord("a", a.Version, "key-a-3"))
	if a.Version != 3 {
		t.Errorf("got version %d after three changes", a.Version)
	}
	expectApps(t, n, a, b)
}

func keepsKeyOrder(t *testing.T, n *appNode) {
	a := put(t, n, appRecord("a", 0, "z", "a", "m", "B", "ä", "10", "9"))
	expectApps(t, n, a, put(t, n, appRecord("b", 0)), put(t, n, appRecord("c", 0, "c")))
	a.Keys = []string{"9", "z", "new"}
	a = put(t, n, a)
	expectApps(t, n, a, appAt(loadApps(t, n.store), "b"), appAt(loadApps(t, n.store), "c"))
}

func appAt(all []app.Record, id string) app.Record {
	i := slices.IndexFunc(all, func(r app.Record) bool { return r.ID == id })
	if i < 0 {
		return app.Record{}
	}
	return all[i]
}

func keepsDocuments(t *testing.T, n *appNode) {
	var text strings.Builder
	for r := range rune(0x20) {
		fmt.Fprintf(&text, `\u%04x`, r)
	}
	for r := rune(0x20); r < 0x100; r++ {
		if r == '"' || r == '\\' {
			text.WriteByte('\\')
		}
		text.WriteRune(r)
	}
	for i, document := range []string{
		`{}`,
		"\t{ \"b\" :\r\n1, \"a\": [ ] , \"b\": 2 }\n",
		`{"` + text.String() + `":"` + text.String() + `"}`,
		`{"text":"\u0000 \ud800 \udc00\ud800 \ud83d\ude00 😀 ` + "\ufffd\u2028\u0085\U0010ffff" + `\/\b\f\n\r\t'$1 ? %s ; --"}`,
		`{"numbers":[1e400,-0,0.1000,123456789012345678901234567890,9007199254740993]}`,
		`{"large":"` + strings.Repeat("0123456789", 100_000) + `"}`,
	} {
		r := appRecord(fmt.Sprintf("app-%d", i), 0)
		r.Document = []byte(document)
		put(t, n, r)
		n.each(t, func(when string) {
			if got := appAt(loadApps(t, n.store), r.ID); string(got.Document) != document {
				t.Errorf("%s: got %.2000q, want %.2000q", when, got.Document, document)
			}
		})
	}
}

func keepsManyApps(t *testing.T, n *appNode) {
	var want []app.Record
	for i := range 450 { // some in capitals, beyond ASCII, and as the beginning of others
		id := strconv.Itoa(i)
		switch i % 4 {
		case 1:
			id = "App " + id
		case 2:
			id = "app-" + id
		case 3:
			id = "ÄÖ" + id
		}
		want = append(want, put(t, n, appRecord(id, 0, "key "+id, "second "+id)))
	}
	expectApps(t, n, want...)
}

func refusesOtherVersions(t *testing.T, n *appNode) {
	for _, version := range []uint64{1, 2, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		refuse(t, n, appRecord("a", version, "key"), app.ErrConflict)
	}
	put(t, n, appRecord("a", 0, "key"))
	a := put(t, n, appRecord("a", 1, "key"))
	for _, version := range []uint64{0, 1, 3, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		refuse(t, n, appRecord("a", version, "other"), app.ErrConflict)
	}
	b := put(t, n, appRecord("b", 0, "key-b"))
	refuse(t, n, appRecord("a", 1, "key-b"), app.ErrConflict) // rather than the key
	expectApps(t, n, a, b)
}

func refusesOtherDeletes(t *testing.T, n *appNode) {
	deleteApp(t, n, "a", 0, app.ErrNotFound)
	deleteApp(t, n, "a", 1, app.ErrNotFound)
	put(t, n, appRecord("a", 0, "key"))
	a := put(t, n, appRecord("a", 1, "key"))
	deleteApp(t, n, "b", 2, app.ErrNotFound)
	for _, version := range []uint64{0, 1, 3, math.MaxUint64} {
		deleteApp(t, n, "a", version, app.ErrConflict)
	}
	expectApps(t, n, a)
	deleteApp(t, n, "a", 2, nil)
	deleteApp(t, n, "a", 2, app.ErrNotFound)
	expectApps(t, n)
}

func beginsAnew(t *testing.T, n *appNode) {
	put(t, n, appRecord("a", 0, "key-1", "key-2"))
	put(t, n, appRecord("a", 1, "key-1", "key-2"))
	deleteApp(t, n, "a", 2, nil)
	refuse(t, n, appRecord("a", 2, "key-1"), app.ErrConflict)
	b := put(t, n, appRecord("b", 0, "key-2")) // which is free
	a := put(t, n, appRecord("a", 0, "key-1"))
	expectApps(t, n, a, b)
}

func refusesTakenKeys(t *testing.T, n *appNode) {
	a := put(t, n, appRecord("a", 0, "key-a", "key-a-2"))
	b := put(t, n, appRecord("b", 0, "key-b"))
	refuse(t, n, appRecord("c", 0, "key-c", "key-a-2"), app.ErrKeyTaken)
	refuse(t, n, appRecord("b", 1, "key-a", "key-b"), app.ErrKeyTaken)
	refuse(t, n, appRecord("b", 1, "key-b-2", "key-b", "key-a"), app.ErrKeyTaken)
	expectApps(t, n, a, b)
	c := put(t, n, appRecord("c", 0, "key-c", "KEY-A", "key-b-2"))
	expectApps(t, n, a, b, c)
}

func movesKeys(t *testing.T, n *appNode) {
	put(t, n, appRecord("a", 0, "key", "key-a"))
	refuse(t, n, appRecord("b", 0, "key"), app.ErrKeyTaken)
	a := put(t, n, appRecord("a", 1, "key-a"))
	b := put(t, n, appRecord("b", 0, "key-b", "key"))
	refuse(t, n, appRecord("a", 2, "key-a", "key"), app.ErrKeyTaken)
	expectApps(t, n, a, b)
}

func refusesDoubleKeys(t *testing.T, n *appNode) {
	a := put(t, n, appRecord("a", 0, "key"))
	for _, r := range []app.Record{appRecord("a", 1, "key", "more", "key"), appRecord("b", 0, "more", "more")} {
		if got, err := n.store.PutApp(t.Context(), r); err == nil {
			t.Errorf("PutApp with the keys %q: got %+v, want an error", r.Keys, got)
		}
	}
	expectApps(t, n, a)
}

// race puts one record from each of several goroutines at once, and counts the answers.
func race(t *testing.T, n *appNode, records []app.Record, lost error) (won []app.Record) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for _, r := range records {
		wg.Go(func() {
			<-start
			r, err := n.store.PutApp(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, r)
			} else if !errors.Is(err, lost) {
				t.Errorf("PutApp: got %v, want %v", err, lost)
			}
		})
	}
	close(start)
	wg.Wait()
	return won
}

func racesForVersions(t *testing.T, n *appNode) {
	var last app.Record
	for version := range uint64(10) {
		var records []app.Record
		for i := range 4 {
			r := appRecord("a", version, fmt.Sprintf("key-%d", i))
			r.Document = fmt.Appendf(nil, `{"writer":%d}`, i)
			records = append(records, r)
		}
		won := race(t, n, records, app.ErrConflict)
		if len(won) != 1 || won[0].Version != version+1 {
			t.Fatalf("version %d: got %+v, want one winner", version, won)
		}
		last = won[0]
	}
	expectApps(t, n, last)
}

func racesForKeys(t *testing.T, n *appNode) {
	var all []app.Record
	for round := range 10 {
		var records []app.Record
		for i := range 4 {
			// The keys come in another order in each, which must not end in a deadlock.
			keys := []string{fmt.Sprintf("x-%d", round), fmt.Sprintf("y-%d", round), fmt.Sprintf("own-%d-%d", round, i)}
			if i%2 > 0 {
				slices.Reverse(keys)
			}
			records = append(records, appRecord(fmt.Sprintf("app-%d-%d", round, i), 0, keys...))
		}
		won := race(t, n, records, app.ErrKeyTaken)
		if len(won) != 1 {
			t.Fatalf("round %d: got %+v, want one winner", round, won)
		}
		all = append(all, won...)
	}
	expectApps(t, n, all...)
}

func loadsOneMoment(t *testing.T, n *appNode) {
	const apps, changes = 8, 25
	id := func(i int) string { return fmt.Sprintf("app-%d", i%apps) }
	versions := map[string]uint64{}
	step := func(r app.Record) error { // not put: it may run beside the test
		r.Version = versions[r.ID]
		got, err := n.store.PutApp(t.Context(), r)
		versions[r.ID] = got.Version
		return err
	}
	for i := range apps {
		put(t, n, appRecord(id(i), 0))
		versions[id(i)] = 1
	}
	// At every moment, the sum of the versions is the sum after one of the changes, and the key is
	// with one app at most.
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < changes && err == nil; i++ {
			err = errors.Join(step(appRecord(id(i), 0, "wandering")), step(appRecord(id(i), 0)))
		}
		done <- err
	}()
	for last, ended := uint64(0), false; !ended; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		default:
		}
		var sum uint64
		var holders []string
		for _, r := range loadApps(t, n.store) {
			sum += r.Version
			if len(r.Keys) > 0 {
				holders = append(holders, r.ID)
			}
		}
		if isHeld := (sum-apps)%2 == 1; sum < last || len(holders) > 1 || isHeld != (len(holders) == 1) {
			t.Fatalf("the versions add up to %d, before to %d, and the key is with %q: not one moment", sum, last, holders)
		}
		last = sum
	}
}

func changesWhileLoading(t *testing.T, n *appNode) {
	a, b := put(t, n, appRecord("a", 0, "key-a")), put(t, n, appRecord("b", 0, "key-b"))
	var seen, want []app.Record
	err := n.store.LoadApps(t.Context(), func(r app.Record) error {
		if seen = append(seen, r); r.ID == "a" {
			want = append(want, put(t, n, appRecord("b", 1, "key-b-2")), put(t, n, appRecord("c", 0, "key-c")))
		}
		return nil
	})
	if diff := gocmp.Diff([]app.Record{a, b}, seen, sameApps()); err != nil || diff != "" {
		t.Errorf("got error %v and (-want +got):\n%s", err, diff)
	}
	expectApps(t, n, append(want, a)...)
}

func stopsLoadingApps(t *testing.T, n *appNode) {
	want := []app.Record{put(t, n, appRecord("a", 0, "key-a")), put(t, n, appRecord("b", 0, "key-b"))}
	for _, last := range []string{"a", "b"} {
		enough, calls := errors.New("enough"), 0
		err := n.store.LoadApps(t.Context(), func(r app.Record) error {
			if calls++; r.ID == last {
				return enough
			}
			return nil
		})
		if wantCalls := int(last[0]-'a') + 1; !errors.Is(err, enough) || calls != wantCalls {
			t.Errorf("got error %v after %d calls, want that of call %d", err, calls, wantCalls)
		}
	}
	expectApps(t, n, want...)
}

func refusesEndedContexts(t *testing.T, n *appNode) {
	a := put(t, n, appRecord("a", 0, "key-a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.store.PutApp(ctx, appRecord("a", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("PutApp: got %v, want context.Canceled", err)
	}
	if err := n.store.DeleteApp(ctx, "a", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("DeleteApp: got %v, want context.Canceled", err)
	}
	if err := n.store.LoadApps(ctx, func(app.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("LoadApps: got %v, want context.Canceled", err)
	}
	expectApps(t, n, a)
}

func endsWatching(t *testing.T, n *appNode) {
	put(t, n, appRecord("a", 0, "key-a"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.store.WatchApps(ctx, func() {}) }()
	put(t, n, appRecord("a", 1, "key-a"))
	select {
	case err := <-ended:
		t.Errorf("it ended early: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("WatchApps: %v", err)
	}
	if err := n.store.WatchApps(ctx, func() {}); err != nil {
		t.Errorf("WatchApps with a context that has ended: %v", err)
	}
}
