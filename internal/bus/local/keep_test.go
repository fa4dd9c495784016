package local_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

// keptNode is a bus with a log on a disk, and what it delivers. It can be started again.
type keptNode struct {
	*local.Bus
	t      testing.TB
	folder string
	log    *embedded.Log
	faults faults
	stop   func()

	mu        sync.Mutex
	delivered []*protocol.Publication // guarded by mu
}

// faults is a log that fails, or waits, when it is told to.
type faults struct {
	*embedded.Log

	mu    sync.Mutex
	err   error         // guarded by mu
	until chan struct{} // guarded by mu; nil: Append does not wait
}

func (f *faults) Append(ctx context.Context, t *log.Tenure, group []log.Record) (log.Index, error) {
	f.mu.Lock()
	err, until := f.err, f.until
	f.mu.Unlock()
	if until != nil {
		<-until
	}
	if err != nil {
		return 0, err
	}
	return f.Log.Append(ctx, t, group)
}

func (f *faults) Keep(ctx context.Context, apps []string) (map[string]log.Index, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Log.Keep(ctx, apps)
}

func (f *faults) set(err error, until chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.until = err, until
}

func (n *keptNode) Receive(ps ...*protocol.Publication) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delivered = append(n.delivered, ps...)
}

func (*keptNode) Lost(protocol.Topic, protocol.Position, protocol.Position) { /* nothing is lost */ }
func (*keptNode) Reserve(context.Context, int) error                        { return nil }

// startKept starts a node that keeps the channels of some apps and follows the topic "app/a".
func startKept(t testing.TB, apps ...string) *keptNode {
	n := &keptNode{t: t, folder: t.TempDir(), stop: func() { /* it does not run */ }}
	n.restart(apps...)
	t.Cleanup(func() { n.stop() })
	return n
}

// restart ends the node, if it runs, and starts it on what it has stored.
func (n *keptNode) restart(apps ...string) {
	n.t.Helper()
	n.stop()
	n.delivered = nil
	var deliver local.Node = n
	n.Bus, n.log, n.stop = serveKept(n.t, n.folder, deliver, &n.faults, apps...)
	n.follow("app", "a")
}

// serveKept serves a bus on a folder.
func serveKept(t testing.TB, folder string, n local.Node, f *faults, apps ...string) (*local.Bus, *embedded.Log, func()) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	l, err := embedded.Open(t.Context(), db, embedded.Options{Node: "node"})
	if err != nil {
		t.Fatal(err)
	}
	f.Log = l
	b := local.New(n, local.Options{Log: f})
	if err := b.Load(t.Context(), apps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { // ends with cancel
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b, l, func() {
		cancel()
		running.Wait()
		if err := errors.Join(b.Shutdown(context.Background()), l.Close(), db.Close(context.Background())); err != nil {
			t.Errorf("the end: %v", err)
		}
	}
}

func (n *keptNode) follow(app, name string) {
	n.t.Helper()
	if _, err := n.Join(n.t.Context(), join(&protocol.Topic{App: app, Name: name})); err != nil {
		n.t.Fatal(err)
	}
}

func event(app, name, text string) bus.Item {
	return bus.Item{Publication: &protocol.Publication{Topic: protocol.Topic{App: app, Name: name}, Event: text, Data: []byte(`"` + text + `"`)}}
}

func (n *keptNode) publish(items ...bus.Item) error {
	_, err := n.Publish(n.t.Context(), batch(items...))
	return err
}

// must publishes events to a channel of "app".
func (n *keptNode) must(name string, texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		if err := n.publish(event("app", name, text)); err != nil {
			n.t.Fatalf("Publish: %v", err)
		}
	}
}

// kept is what the log has of a channel of "app", as "serial:event".
func (n *keptNode) kept(name string) (stream string, all []string) {
	n.t.Helper()
	page, err := n.Page(n.t.Context(), protocol.Topic{App: "app", Name: name}, log.Query{Limit: 10_000})
	if err != nil {
		n.t.Fatalf("Page: %v", err)
	}
	for i := range page.Publications {
		p := &page.Publications[i]
		all = append(all, fmt.Sprintf("%d:%s", p.Serial, p.Event))
	}
	return page.Stream.ID, all
}

// seen is what was delivered, as "serial:event", of which the serial is missing where nothing is kept.
func (n *keptNode) seen() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.delivered {
		text := p.Event
		if p.Properties != nil {
			text = fmt.Sprintf("%d:%s", p.Properties.Serial, text)
		}
		all = append(all, text)
	}
	return all
}

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestBusThatKeeps runs the suite of buses where everything goes by way of the log.
func TestBusThatKeeps(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T, n bustest.Node) bus.Bus {
		b, _, stop := serveKept(t, t.TempDir(), n, new(faults), "bustest", "other")
		t.Cleanup(stop)
		return b
	})
}

func TestWhatIsKeptHasSerialsAndGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app")
	n.must("a", "one", "two")
	stream, got := n.kept("a")
	same(t, "kept", []string{"1:one", "2:two"}, got)
	same(t, "delivered", []string{"1:one", "2:two"}, n.seen())
	shown := n.delivered[0].Properties
	if shown.StreamID != stream || len(shown.MessageID) != 36 || n.delivered[1].Properties.MessageID == shown.MessageID {
		t.Errorf("a subscriber is shown %+v, the stream is %q", shown, stream)
	}
	n.restart("app")
	n.must("a", "three")
	after, got := n.kept("a")
	same(t, "kept after a restart", []string{"1:one", "2:two", "3:three"}, got)
	same(t, "the stream after a restart", stream, after)
	if err := n.publish(event("other", "a", "x"), event("app", "b", "y")); err != nil {
		t.Fatal(err)
	}
	_, got = n.kept("b")
	same(t, "kept of a batch with a topic that is not kept", []string{"1:y"}, got)
}

// TestNothingIsDeliveredBeforeItIsStored holds the log up: what is not kept goes on.
func TestNothingIsDeliveredBeforeItIsStored(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app")
	n.follow("other", "b")
	goesOn := make(chan struct{})
	n.faults.set(nil, goesOn)
	var waiting sync.WaitGroup
	waiting.Go(func() { n.must("a", "kept") })
	for range 100 {
		if err := n.publish(event("other", "b", "live")); err != nil {
			t.Fatal(err)
		}
		n.follow("app", "a") // no lock of the topic is held
	}
	same(t, "delivered while the log stands", slices.Repeat([]string{"live"}, 100), n.seen())
	close(goesOn)
	waiting.Wait()
	same(t, "delivered last", "1:kept", n.seen()[100])
}

func TestALogThatFailsRefusesAndLosesNoSerial(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app")
	n.follow("other", "b")
	n.must("a", "one")
	for _, c := range []struct{ fails, want error }{
		{log.ErrNotStored, bus.ErrNotStored},
		{log.ErrFull, bus.ErrBackpressure},
		{log.ErrUncertain, bus.ErrUncertain},
		{log.ErrFenced, bus.ErrUnavailable},
	} {
		n.faults.set(c.fails, nil)
		if err := n.publish(event("app", "a", "lost"), event("app", "new", "lost")); !errors.Is(err, c.want) {
			t.Errorf("after %v Publish = %v, want %v", c.fails, err, c.want)
		}
		if err := n.publish(event("other", "b", "live")); err != nil {
			t.Errorf("what is not kept: %v", err)
		}
	}
	n.faults.set(nil, nil)
	n.must("a", "two")
	n.must("new", "first")
	same(t, "delivered", []string{"1:one", "live", "live", "live", "live", "2:two"}, n.seen())
	_, got := n.kept("a")
	same(t, "kept", []string{"1:one", "2:two"}, got)
	_, got = n.kept("new")
	same(t, "kept of a topic whose first publish was refused", []string{"1:first"}, got)
}

func TestWithoutALogNothingThatIsKeptIsPublished(t *testing.T) {
	t.Parallel()
	b := local.New(new(counter), local.Options{})
	if err := b.Load(t.Context(), []string{"app"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), batch(event("app", "a", "x"))); !errors.Is(err, bus.ErrNotStored) {
		t.Errorf("Publish = %v, want ErrNotStored", err)
	}
	if _, err := b.Publish(t.Context(), batch(event("other", "a", "x"))); err != nil {
		t.Errorf("what is not kept: %v", err)
	}
}

func TestABatchThatIsTooLargeIsRefusedWhole(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app")
	large := event("app", "a", "large")
	large.Publication.Data = slices.Concat([]byte(`"`), slices.Repeat([]byte("x"), log.MaxGroup), []byte(`"`))
	if err := n.publish(event("app", "a", "small"), large); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("Publish = %v, want ErrTooLarge", err)
	}
	n.must("a", "one")
	same(t, "delivered", []string{"1:one"}, n.seen())
}

// TestAStreamEndsWhereAnAppWasNotKept: what was published between is missing in it.
func TestAStreamEndsWhereAnAppWasNotKept(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(n *keptNode, apps ...string){
		"while it runs": func(n *keptNode, apps ...string) {
			if err := n.Keep(n.t.Context(), apps); err != nil {
				n.t.Fatal(err)
			}
		},
		"by restarts": func(n *keptNode, apps ...string) { n.restart(apps...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startKept(t, "app")
			n.must("a", "one")
			n.must("quiet", "one")
			first, _ := n.kept("a")
			change(n, "app", "other")
			n.must("a", "two")
			same(t, "the stream when another app is kept too", first, streamOf(n, "a"))
			change(n)
			n.must("a", "between")
			_, got := n.kept("a")
			same(t, "kept while it is off", nil, got)
			change(n, "app")
			_, got = n.kept("a")
			same(t, "kept once it is on again", nil, got)
			n.must("a", "three")
			second, got := n.kept("a")
			same(t, "kept since it is on again", []string{"1:three"}, got)
			if second == first {
				t.Error("the stream goes on although a publication is missing in it")
			}
			_, got = n.kept("quiet")
			same(t, "kept of a topic to which nothing was published", nil, got)
			n.must("quiet", "four")
			_, got = n.kept("quiet")
			same(t, "kept of it now", []string{"1:four"}, got)
		})
	}
}

// TestASettingThatCannotBeStored: an app that is turned off is live, one that is turned on is refused.
func TestASettingThatCannotBeStored(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app", "other")
	n.follow("other", "o")
	n.must("a", "one")
	first := streamOf(n, "a")
	if err := n.publish(event("other", "o", "one")); err != nil {
		t.Fatal(err)
	}
	n.faults.set(log.ErrNotStored, nil)
	keep := func(apps ...string) {
		if err := n.Keep(t.Context(), apps); !errors.Is(err, bus.ErrNotStored) {
			t.Errorf("Keep(%v) = %v, want ErrNotStored", apps, err)
		}
	}
	keep("other")
	n.must("a", "live")
	keep("app", "other")
	for _, app := range []string{"app", "other"} {
		if err := n.publish(event(app, "a", "refused")); !errors.Is(err, bus.ErrNotStored) {
			t.Errorf("Publish of %s = %v, want ErrNotStored", app, err)
		}
	}
	n.faults.set(nil, nil)
	if err := n.publish(event("other", "o", "two")); err != nil {
		t.Fatal(err)
	}
	n.must("a", "two")
	same(t, "delivered", []string{"1:one", "1:one", "live", "2:two", "1:two"}, n.seen())
	if second := streamOf(n, "a"); second == first {
		t.Error("the stream goes on although a publication is missing in it")
	}
}

func streamOf(n *keptNode, name string) string {
	stream, _ := n.kept(name)
	return stream
}

func TestResetAndPurge(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app")
	topic := protocol.Topic{App: "app", Name: "a"}
	empty, err := n.Purge(t.Context(), topic, log.Purge{})
	if err != nil || empty.Was.ID != "" || empty.Is.ID != "" {
		t.Errorf("a purge of a topic without a stream = %+v, %v", empty, err)
	}
	n.must("a", "1", "2", "3", "4", "5")
	stream, _ := n.kept("a")
	for _, c := range []struct {
		purge log.Purge
		want  []string
	}{
		{log.Purge{BeforeSerial: 1}, []string{"1:1", "2:2", "3:3", "4:4", "5:5"}},
		{log.Purge{BeforeTime: 1}, []string{"1:1", "2:2", "3:3", "4:4", "5:5"}},
		{log.Purge{BeforeSerial: 3}, []string{"3:3", "4:4", "5:5"}},
		{log.Purge{BeforeSerial: 2}, []string{"3:3", "4:4", "5:5"}},
		{log.Purge{BeforeTime: 1 << 45}, nil},
	} {
		got, err := n.Purge(t.Context(), topic, c.purge)
		if err != nil || got.Is.ID != stream || got.Is.Next != 6 || got.Is.Count() != uint64(len(c.want)) {
			t.Errorf("Purge(%+v) = %+v, %v", c.purge, got, err)
		}
		_, kept := n.kept("a")
		same(t, fmt.Sprintf("after %+v", c.purge), c.want, kept)
	}
	n.must("a", "6")
	reset, err := n.Reset(t.Context(), topic)
	if err != nil || reset.Was.ID != stream || reset.Was.Count() != 1 || reset.Was.Bytes == 0 || reset.Is.ID == stream || reset.Is.Next != 1 {
		t.Errorf("Reset = %+v, %v", reset, err)
	}
	n.must("a", "7")
	after, got := n.kept("a")
	same(t, "after the reset", []string{"1:7"}, got)
	same(t, "its stream", reset.Is.ID, after)
}

// TestConcurrentPublishersOfWhatIsKept: subscribers see the order of serials, without a gap.
func TestConcurrentPublishersOfWhatIsKept(t *testing.T) {
	t.Parallel()
	n := startKept(t, "app")
	const publishers, each = 16, 50
	var all sync.WaitGroup
	for i := range publishers {
		all.Go(func() {
			for j := range each {
				if err := n.publish(event("app", "a", fmt.Sprint(i, "-", j)), event("app", fmt.Sprint("own-", i), "x")); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	all.Wait()
	_, kept := n.kept("a")
	same(t, "delivered and kept", kept, n.seen())
	if len(kept) != publishers*each {
		t.Errorf("%d are kept, want %d", len(kept), publishers*each)
	}
	for i, p := range n.delivered {
		if p.Properties.Serial != uint64(i)+1 {
			t.Fatalf("the serial of delivery %d is %d", i+1, p.Properties.Serial)
		}
	}
}

// TestPublishAllocsBesideAKeptApp: an app that keeps nothing pays nothing for one that does.
func TestPublishAllocsBesideAKeptApp(t *testing.T) {
	n := startKept(t, "kept")
	one := batch(event("app", "a", "x"))
	if got := testing.AllocsPerRun(100, func() { _, _ = n.Publish(t.Context(), one); n.delivered = n.delivered[:0] }); got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

// BenchmarkPublishKept measures many publishers of channels that are kept, beside the same publishers
// where nothing is. A disk is part of it.
func BenchmarkPublishKept(b *testing.B) {
	for _, apps := range [][]string{nil, {"app"}} {
		b.Run(fmt.Sprint("kept=", len(apps)), func(b *testing.B) {
			n := startKept(b, apps...)
			data := slices.Concat([]byte(`"`), slices.Repeat([]byte("x"), 200), []byte(`"`))
			b.SetParallelism(64)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					it := event("app", fmt.Sprint("channel-", i%1000), "tick")
					it.Publication.Data = data
					if err := n.publish(it); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
