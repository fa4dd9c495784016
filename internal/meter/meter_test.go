package meter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/meter"
)

// channel is an emitter that keeps what it gets, and fails when it is told to.
type channel struct {
	mu      sync.Mutex
	batches []string
	err     error
}

func (c *channel) Emit(_ context.Context, batch []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, string(batch))
	return c.err
}

// bodies are the events of all batches, without envelope, as compact JSON.
func (c *channel) bodies(t *testing.T) []string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, text := range c.batches {
		var batch struct {
			Events []struct{ Event json.RawMessage }
		}
		if err := json.Unmarshal([]byte(text), &batch); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, e := range batch.Events {
			all = append(all, string(e.Event))
		}
	}
	return all
}

func TestEvents(t *testing.T) {
	t.Parallel()
	id := meter.Identity{ClientID: "0c9e", DeploymentID: "shop", MeteringKey: "team-4", Subject: "user:17"}
	bare := meter.Identity{ClientID: "0c9e"}
	const full = `"client_id":"0c9e","deployment_id":"shop","metering_key":"team-4","subject":"user:17"`
	const none = `"client_id":"0c9e","deployment_id":null,"metering_key":null,"subject":null`
	for _, c := range []struct {
		name string
		call func(m *meter.Meter)
		want string
	}{
		{
			"a connection is established",
			func(m *meter.Meter) { m.ConnectionEstablished(id, "10.0.0.1:4711", "publishable") },
			`{"type":"connection_established",` + full + `,"remote_addr":"10.0.0.1:4711","key_class":"publishable"}`,
		},
		{
			"U06 unset optional fields are present with value null",
			func(m *meter.Meter) { m.ConnectionEstablished(bare, "[::1]:4711", "") },
			`{"type":"connection_established",` + none + `,"remote_addr":"[::1]:4711","key_class":null}`,
		},
		{
			"a connection is closed",
			func(m *meter.Meter) { m.ConnectionClosed(bare, 1500*time.Millisecond, 2) },
			`{"type":"connection_closed",` + none + `,"duration_secs":1.5,"subscription_count":2}`,
		},
		{
			"a subscription is created, of a view whose id needs escapes",
			func(m *meter.Meter) { m.SubscriptionCreated(id, "a\"\\\n\xff/é") },
			`{"type":"subscription_created",` + full + `,"view_id":"a\"\\\n\ufffd/é"}`,
		},
		{
			"a subscription is removed",
			func(m *meter.Meter) { m.SubscriptionRemoved(id, "Auction/list") },
			`{"type":"subscription_removed",` + full + `,"view_id":"Auction/list"}`,
		},
		{
			"U02 a snapshot batch counts rows and bytes",
			func(m *meter.Meter) { m.SnapshotSent(id, "Auction/list", 50, 2210) },
			`{"type":"snapshot_sent",` + full + `,"view_id":"Auction/list","rows":50,"messages":1,"bytes":2210}`,
		},
		{
			"updates are added up",
			func(m *meter.Meter) { m.UpdateSent(id, "Auction/list", 17, 4711) },
			`{"type":"update_sent",` + full + `,"view_id":"Auction/list","messages":17,"bytes":4711}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := new(channel)
				n := start(t, meter.Options{Emitter: e})
				c.call(n.Meter)
				wait(2 * time.Second)
				if diff := cmp.Diff([]string{c.want}, e.bodies(t)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestOrderIsThatOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := new(channel)
		n := start(t, meter.Options{Emitter: e})
		id := meter.Identity{ClientID: "c"}
		n.ConnectionEstablished(id, "a:1", "")
		n.SubscriptionCreated(id, "v")
		n.UpdateSent(id, "v", 1, 100)
		n.SnapshotSent(id, "v", 1, 200)
		n.UpdateSent(id, "v", 1, 50)
		n.SubscriptionRemoved(id, "v")
		n.ConnectionClosed(id, time.Second, 1)
		wait(2 * time.Second)
		var types []string
		for _, body := range e.bodies(t) {
			types = append(types, regexp.MustCompile(`"type":"(\w+)"`).FindStringSubmatch(body)[1])
		}
		want := []string{"connection_established", "subscription_created", "update_sent", "snapshot_sent", "update_sent", "subscription_removed", "connection_closed"}
		if diff := cmp.Diff(want, types); diff != "" {
			t.Errorf("U01 (-want +got):\n%s", diff)
		}
		if got := n.count(t, "millrace_meter_events_total"); got != 7 {
			t.Errorf("got %v events counted, want 7", got)
		}
	})
}

func TestNilMeterIsFree(t *testing.T) { // not parallel: it counts allocations
	var m *meter.Meter
	id := meter.Identity{}
	if m.IsOn() {
		t.Error("a nil meter is on")
	}
	allocs := testing.AllocsPerRun(100, func() {
		m.ConnectionEstablished(id, "", "")
		m.ConnectionClosed(id, 0, 0)
		m.SubscriptionCreated(id, "")
		m.SubscriptionRemoved(id, "")
		m.SnapshotSent(id, "", 0, 0)
		m.UpdateSent(id, "", 0, 0)
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want none", allocs)
	}
}

func TestFlush(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events int
		at     []time.Duration // of the posts
		sizes  []int
	}{
		"U03 50 events leave at once in one post":        {50, []time.Duration{0}, []int{50}},
		"49 events leave after 2 s":                      {49, []time.Duration{2 * time.Second}, []int{49}},
		"a batch has at most 500 events":                 {1203, []time.Duration{0, 0, 0}, []int{500, 500, 203}},
		"what is less than 50 after a full one may wait": {1010, []time.Duration{0, 0, 2 * time.Second}, []int{500, 500, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEndpoint(t)
				n := startHeld(t, over(e))
				n.updates(c.events)
				n.run()
				wait(5 * time.Second)
				var at []time.Duration
				var sizes []int
				for _, p := range e.received() {
					at, sizes = append(at, p.at), append(sizes, len(p.events))
				}
				if diff := cmp.Diff(c.at, at) + cmp.Diff(c.sizes, sizes); diff != "" {
					t.Errorf("posts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		n := start(t, meter.Options{Emitter: meter.NewHTTP(meter.HTTPOptions{URL: "http://usage.test/", Token: "s3cret", Transport: e.transport})})
		began := time.Now()
		wait(time.Second)
		n.updates(1)
		wait(time.Second)
		posts := e.received()
		if len(posts) != 1 || len(posts[0].events) != 1 {
			t.Fatalf("got posts %v, want one with one event", posts)
		}
		if got := posts[0].header.Get("Authorization"); got != "Bearer s3cret" {
			t.Errorf("got authorization %q", got)
		}
		if got := posts[0].header.Get("Content-Type"); got != "application/json" {
			t.Errorf("got content type %q", got)
		}
		event := posts[0].events[0]
		if id, err := uuid.Parse(event.ID); err != nil || id.Version() != 4 {
			t.Errorf("event id %q is no random uuid: %v", event.ID, err)
		}
		if want := began.Add(time.Second).UnixMilli(); event.At != want {
			t.Errorf("got occurred_at_ms %d, want %d: the time of arrival", event.At, want)
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		e.answer(http.StatusInternalServerError, 8)
		n := start(t, over(e))
		n.updates(50)
		synctest.Wait()
		n.updates(60) // wait behind
		wait(10 * time.Minute)
		posts := e.received()
		if len(posts) != 10 {
			t.Fatalf("got %d posts, want 8 failed ones and two", len(posts))
		}
		var waits []time.Duration
		for i, p := range posts[1:9] {
			waits = append(waits, p.at-posts[i].at)
			if diff := cmp.Diff(posts[0].events, p.events); diff != "" {
				t.Errorf("U04 attempt %d has other events (-want +got):\n%s", i+2, diff)
			}
		}
		s := time.Second
		if diff := cmp.Diff([]time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 64 * s, 64 * s}, waits); diff != "" {
			t.Errorf("U04 waits (-want +got):\n%s", diff)
		}
		if got := len(e.delivered()); got != 110 {
			t.Errorf("got %d events delivered, want 110", got)
		}
	})
}

func TestRequestHasATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		e := meter.NewHTTP(meter.HTTPOptions{URL: "http://usage.test/", Transport: silent})
		began := time.Now()
		err := e.Emit(t.Context(), []byte(`{"events":[]}`))
		if got := time.Since(began); err == nil || got != 10*time.Second {
			t.Errorf("got error %v after %v, want one after 10s", err, got)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRedirectIsNoSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t, http.StatusFound)
		h := meter.NewHTTP(meter.HTTPOptions{URL: "http://user:pass@usage.test/", Transport: e.transport})
		err := h.Emit(t.Context(), []byte(`{"events":[]}`))
		if err == nil || regexp.MustCompile("pass").MatchString(err.Error()) {
			t.Errorf("got error %v, want one without the password", err)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		e.answer(http.StatusInternalServerError, 1)
		o := over(e)
		o.MaxPending = 600
		n := start(t, o)
		n.updates(50)
		synctest.Wait() // they have failed once
		n.updates(1000)
		wait(time.Minute)
		if got := len(e.delivered()); got != 650 {
			t.Errorf("got %d events delivered, want the 50 under way and 600", got)
		}
		if got := n.count(t, "millrace_meter_dropped_events_total"); got != 400 {
			t.Errorf("got %v events dropped, want 400", got)
		}
	})
}

func TestSpool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "deep", "spool")
		e := newEndpoint(t)
		e.answer(http.StatusBadGateway, 4)
		o := over(e)
		o.Spool = folder
		n := start(t, o)
		n.updates(50)
		wait(6*time.Second + time.Millisecond) // attempts at 0, 2 and 6 s
		names := spooled(t, folder)
		if len(names) != 1 || !regexp.MustCompile(`^ws-usage-\d{12,13}-[0-9a-f]{32}\.json$`).MatchString(names[0]) {
			t.Fatalf("U05 after three failures: got files %v, want one", names)
		}
		if text := read(t, folder, names[0]); !regexp.MustCompile(`^\{"events":\[\{"event_id":.*\}\]\}$`).MatchString(text) {
			t.Errorf("the file is no batch: %s", text)
		}
		wait(10 * time.Second) // the first try from the spool fails too
		if names := spooled(t, folder); len(names) != 0 {
			t.Errorf("U05 after recovery: got files %v, want none", names)
		}
		posts := e.received()
		if diff := cmp.Diff(posts[0].events, e.delivered()); diff != "" {
			t.Errorf("U05 delivered (-want +got):\n%s", diff)
		}
		if len(posts) != 5 {
			t.Errorf("got %d posts, want 5", len(posts))
		}
	})
}

func TestSpoolIsSentOldestFirstOneEachTick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		for _, name := range []string{
			"ws-usage-1900000000002-" + hex32("a") + ".json", "ws-usage-1900000000001-" + hex32("b") + ".json", "ws-usage-1900000000001-" + hex32("a") + ".json",
		} {
			text := fmt.Sprintf(`{"events":[{"event_id":%q}]}`, name[9:24])
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"ws-usage-1900000000000-" + hex32("c") + ".json.tmp", "other.txt"} {
			if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := newEndpoint(t)
		o := over(e)
		o.Spool = folder
		start(t, o)
		wait(7 * time.Second)
		var got []string
		for _, p := range e.received() {
			got = append(got, fmt.Sprint(p.at, " ", p.events[0].ID))
		}
		if diff := cmp.Diff([]string{"2s 1900000000001-a", "4s 1900000000001-b", "6s 1900000000002-a"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"other.txt"}, spooled(t, folder)); diff != "" {
			t.Errorf("files left (-want +got):\n%s", diff)
		}
	})
}

func TestSpoolWaitsForARetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		text := `{"events":[{"event_id":"spooled"}]}`
		if err := os.WriteFile(filepath.Join(folder, "ws-usage-1900000000000-"+hex32("a")+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		e := newEndpoint(t)
		e.answer(http.StatusInternalServerError, 2)
		o := over(e)
		o.Spool = folder
		n := start(t, o)
		n.updates(50)
		wait(9 * time.Second)
		var sizes []int
		for _, p := range e.received() {
			sizes = append(sizes, len(p.events))
		}
		if diff := cmp.Diff([]int{50, 50, 50, 1}, sizes); diff != "" {
			t.Errorf("posts (-want +got):\n%s", diff)
		}
	})
}

func hex32(c string) string { return fmt.Sprintf("%s%031d", c, 0) }

func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(o *meter.Options){
		"in files": func(o *meter.Options) { o.MaxSpoolFiles = 2 },
		"in bytes": func(o *meter.Options) { o.MaxSpoolBytes = 30_000 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEndpoint(t)
				e.answer(http.StatusInternalServerError, 1000)
				o := over(e)
				o.Spool = t.TempDir()
				limit(&o)
				n := start(t, o)
				for range 3 {
					n.updates(50)
					wait(6*time.Second + time.Millisecond)
				}
				if got := len(spooled(t, o.Spool)); got != 2 {
					t.Errorf("got %d files, want 2", got)
				}
				if got := n.count(t, "millrace_meter_dropped_events_total"); got != 50 {
					t.Errorf("got %v events dropped, want 50", got)
				}
			})
		})
	}
}

func TestQueueDoesNotOverflowWhileASpoolIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		e.answer(http.StatusInternalServerError, 1000)
		o := over(e)
		o.Spool = t.TempDir()
		n := start(t, o)
		for range 5 {
			n.updates(5000)
			wait(7 * time.Second)
		}
		if got := n.count(t, "millrace_meter_dropped_events_total"); got != 0 {
			t.Errorf("got %v events dropped, want none", got)
		}
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	const sent, failing = http.StatusOK, http.StatusInternalServerError
	for name, c := range map[string]struct {
		status           int
		hasSpool         bool
		delivered, files int
		dropped          float64
	}{
		"with a spool what was not sent is spooled":        {sent, true, 0, 2, 1},
		"without one it is sent":                           {sent, false, 510, 0, 1},
		"without one and without an endpoint it is lost":   {failing, false, 0, 0, 511},
		"with a spool and without endpoint all is spooled": {failing, true, 0, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEndpoint(t)
				e.answer(c.status, 100)
				o := over(e)
				if c.hasSpool {
					o.Spool = t.TempDir()
				}
				n := startHeld(t, o)
				n.updates(510)
				n.stop()
				n.updates(1) // too late
				if got := len(e.delivered()); got != c.delivered {
					t.Errorf("got %d events delivered, want %d", got, c.delivered)
				}
				if c.hasSpool {
					if got := len(spooled(t, o.Spool)); got != c.files {
						t.Errorf("got %d files, want %d", got, c.files)
					}
				}
				if got := n.count(t, "millrace_meter_dropped_events_total"); got != c.dropped {
					t.Errorf("got %v events dropped, want %v", got, c.dropped)
				}
			})
		})
	}
}

func TestSpoolThatCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := meter.New(meter.Options{Emitter: new(channel), Spool: file}); err == nil {
		t.Error("New succeeded")
	}
}

func TestCallersNeverWaitForTheEmitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		e := emitterFunc(func(context.Context, []byte) error { <-stuck; return errors.New("stuck") })
		n := start(t, meter.Options{Emitter: e})
		began := time.Now()
		n.updates(20_000)
		if got := time.Since(began); got != 0 {
			t.Errorf("callers waited %v", got)
		}
		close(stuck)
		synctest.Wait()
	})
}

type emitterFunc func(context.Context, []byte) error

func (f emitterFunc) Emit(ctx context.Context, batch []byte) error { return f(ctx, batch) }

func TestEveryEventHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		n := start(t, over(e))
		n.updates(1000)
		wait(2 * time.Second)
		var ids []string
		for _, d := range e.delivered() {
			ids = append(ids, d.ID)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 1000 {
			t.Errorf("got %d different ids, want 1000", len(ids))
		}
	})
}

func BenchmarkUpdateSent(b *testing.B) {
	m, err := meter.New(meter.Options{Emitter: emitterFunc(func(context.Context, []byte) error { return nil })})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	id := meter.Identity{ClientID: "0c9e7f6a-54d5-4ad1-a1d7-0a2c9a2c6f0d", MeteringKey: "team-4", Subject: "user:17"}
	b.ReportAllocs()
	for b.Loop() {
		m.UpdateSent(id, "Auction/list", 3, 1234)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
