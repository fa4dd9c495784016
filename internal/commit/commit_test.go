package commit_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/commit"
)

var errDisk = errors.New("disk")

// item is what callers of the tests commit.
type item struct {
	name   string
	ticket *commit.Ticket
	answer error // of this item alone; nil: that of its group
}

// ledger is a Committer that writes down what it is called with.
type ledger struct {
	mu    sync.Mutex
	lines []string
	gate  chan struct{} // Store waits for one value; nil: it does not

	store   func(group []*item) error
	install func()
	retry   time.Duration
}

func names(group []*item) string {
	all := make([]string, len(group))
	for i, it := range group {
		all[i] = it.name
	}
	return strings.Join(all, " ")
}

func (l *ledger) note(verb string, group []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(verb+" "+names(group)))
}

func (l *ledger) Store(_ context.Context, group []*item) error {
	l.note("store", group)
	if l.gate != nil {
		<-l.gate
	}
	for _, it := range group {
		if it.answer != nil {
			it.ticket.Answer(it.answer)
		}
	}
	if fn := l.storing(); fn != nil {
		return fn(group)
	}
	return nil
}

func (l *ledger) storing() func([]*item) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store
}

// stores makes Store fail with fn from now on, or succeed if it is nil.
func (l *ledger) stores(fn func([]*item) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store = fn
}

func (l *ledger) Install(_ context.Context, group []*item) {
	l.note("install", group)
	if l.install != nil {
		l.install()
	}
}

func (l *ledger) Refuse(group []*item, _ error) time.Duration {
	l.note("refuse", group)
	return l.retry
}

func (l *ledger) expect(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.lines); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// bench is a queue that is served until finish is called.
type bench struct {
	t *testing.T
	*commit.Queue[*item]
	stop    context.CancelFunc
	served  chan error
	answers map[string]chan error
}

func serve(t *testing.T, o commit.Options, c commit.Committer[*item]) *bench {
	ctx, stop := context.WithCancel(t.Context())
	b := &bench{t, commit.New[*item](o), stop, make(chan error, 1), map[string]chan error{}}
	go func() { b.served <- b.Serve(ctx, c) }()
	synctest.Wait()
	return b
}

// call commits an item of one entry on a goroutine of its own, which waits once it returns.
func (b *bench) call(ctx context.Context, it *item) {
	it.ticket = commit.NewTicket()
	answer := make(chan error, 1)
	b.answers[it.name] = answer
	go func() { answer <- b.Do(ctx, it, commit.Size{Bytes: 10, Entries: 1}, it.ticket) }()
	synctest.Wait()
}

func (b *bench) calls(names ...string) {
	for _, name := range names {
		b.call(b.t.Context(), &item{name: name})
	}
}

// expect wants the answers of calls; nil is success.
func (b *bench) expect(want error, names ...string) {
	b.t.Helper()
	synctest.Wait()
	for _, name := range names {
		select {
		case err := <-b.answers[name]:
			if !errors.Is(err, want) {
				b.t.Errorf("%s: got %v, want %v", name, err, want)
			}
		default:
			b.t.Errorf("%s has no answer", name)
		}
	}
}

// finish ends Serve and commits what waits.
func (b *bench) finish(c commit.Committer[*item]) error {
	b.stop()
	if err := <-b.served; err != nil {
		b.t.Errorf("Serve: %v", err)
	}
	b.Close()
	return b.Finish(context.WithoutCancel(b.t.Context()), c)
}

func TestWhatWaitsIsOneGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{gate: make(chan struct{})}
		b := serve(t, commit.Options{}, l)
		b.calls("a", "b", "c")
		l.gate <- struct{}{}
		b.expect(nil, "a")
		l.gate <- struct{}{}
		b.expect(nil, "b", "c")
		l.expect(t, "store a", "install a", "store b c", "install b c")
		if err := b.finish(l); err != nil {
			t.Error(err)
		}
	})
}

func TestGroupsAreCutAtTheirBounds(t *testing.T) {
	t.Parallel()
	for _, size := range []commit.Size{{Entries: 2}, {Bytes: 25}} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{gate: make(chan struct{})}
			b := serve(t, commit.Options{Group: size}, l)
			b.calls("a", "b", "c", "d")
			_ = b.Put(&item{name: "large"}, commit.Size{Bytes: 1000, Entries: 1000})
			close(l.gate)
			b.expect(nil, "a", "b", "c", "d")
			l.expect(t, "store a", "install a", "store b c", "install b c", "store d", "install d", "store large", "install large")
			_ = b.finish(l)
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		max        commit.Size
		holdsGroup bool
		fit        int
	}{
		{"bytes", commit.Size{Bytes: 30}, false, 3},
		{"entries", commit.Size{Entries: 2}, false, 2},
		{"an empty queue takes anything", commit.Size{Bytes: 1}, false, 1},
		{"what is being committed counts", commit.Size{Bytes: 30}, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, told := &ledger{gate: make(chan struct{})}, atomic.Int64{}
				b := serve(t, commit.Options{Max: c.max, HoldsGroup: c.holdsGroup, Waiting: func(n int) { told.Store(int64(n)) }}, l)
				b.calls("first")
				fit := 0
				for ; b.Admits(commit.Size{Bytes: 10, Entries: 1}) == nil; fit++ {
					b.calls(strconv.Itoa(fit))
				}
				if fit != c.fit {
					t.Errorf("%d items fit, want %d", fit, c.fit)
				}
				b.calls("beyond")
				b.expect(commit.ErrFull, "beyond")
				close(l.gate)
				b.expect(nil, "first", "0")
				if n := told.Load(); n != 0 {
					t.Errorf("%d bytes wait at the end", n)
				}
				b.Close()
				b.calls("late")
				b.expect(commit.ErrClosed, "late")
				_ = b.finish(l)
			})
		})
	}
}

func TestAGroupThatCannotBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := errors.New("own")
		l := &ledger{gate: make(chan struct{}), store: func([]*item) error { return errDisk }}
		b := serve(t, commit.Options{}, l)
		b.calls("a", "b")
		b.call(t.Context(), &item{name: "c", answer: own})
		close(l.gate)
		b.expect(errDisk, "a", "b")
		b.expect(own, "c")
		l.expect(t, "store a", "refuse a", "store b c", "refuse b c")
		l.stores(nil)
		b.calls("d")
		b.expect(nil, "d")
		_ = b.finish(l)
	})
}

func TestAGroupThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{retry: time.Second, store: func([]*item) error { return errDisk }}
		b := serve(t, commit.Options{}, l)
		b.calls("a")
		start := time.Now()
		l.stores(nil)
		if err := <-b.answers["a"]; err != nil || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		l.expect(t, "store a", "refuse a", "store a", "install a")

		l.stores(func([]*item) error { return errDisk })
		b.calls("b")
		b.stop()
		if err := <-b.served; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2500*time.Millisecond)
		defer cancel()
		if err := b.Finish(ctx, l); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Finish: %v", err)
		}
		l.stores(nil)
		if err := b.Finish(context.WithoutCancel(t.Context()), l); err != nil {
			t.Errorf("Finish: %v", err)
		}
		b.expect(nil, "b")
	})
}

func TestCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{gate: make(chan struct{})}
		b := serve(t, commit.Options{}, l)
		ctx, cancel := context.WithCancel(t.Context())
		b.call(ctx, &item{name: "taken"})
		b.call(ctx, &item{name: "waits"})
		b.calls("stays")
		cancel()
		time.Sleep(20 * time.Millisecond) // in which no caller asks
		b.expect(context.Canceled, "waits")
		b.expect(commit.ErrUncertain, "taken")
		close(l.gate)
		b.expect(nil, "stays")
		l.expect(t, "store taken", "install taken", "store stays", "install stays")
		_ = b.finish(l)
	})
}

// Where a Committer waits for nothing, a caller gets its answer and not the end of its context.
func TestAnInstantCommitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{gate: make(chan struct{})}
		b := serve(t, commit.Options{IsInstant: true}, l)
		ctx, cancel := context.WithCancel(t.Context())
		b.call(ctx, &item{name: "taken"})
		b.call(ctx, &item{name: "waits"})
		b.call(ctx, &item{name: "refused", answer: errDisk})
		cancel()
		time.Sleep(time.Minute)
		close(l.gate)
		b.expect(nil, "taken", "waits")
		b.expect(errDisk, "refused")
		l.expect(t, "store taken", "install taken", "store waits refused", "install waits refused")
		if err := b.finish(l); err != nil {
			t.Error(err)
		}
	})
}

func TestTheEndFinishesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{gate: make(chan struct{}, 3)}
		b := serve(t, commit.Options{Group: commit.Size{Entries: 1}}, l)
		b.calls("a", "b", "c")
		b.stop()
		for range 3 {
			l.gate <- struct{}{}
		}
		if err := b.finish(l); err != nil {
			t.Error(err)
		}
		b.expect(nil, "a", "b", "c")
		b.calls("late")
		b.expect(commit.ErrClosed, "late")
	})
}

func TestAPanicEndsTheQueue(t *testing.T) {
	t.Parallel()
	for _, isInstall := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{gate: make(chan struct{})}
			if isInstall {
				l.install = func() { panic("a bug") }
			} else {
				l.store = func([]*item) error { panic("a bug") }
			}
			b := serve(t, commit.Options{}, l)
			b.call(t.Context(), &item{name: "a", answer: errDisk})
			b.calls("waits")
			close(l.gate)
			b.expect(commit.ErrUncertain, "a")
			b.expect(commit.ErrClosed, "waits")
			b.calls("late")
			b.expect(commit.ErrClosed, "late")
			err := <-b.served
			p, ok := errors.AsType[*commit.Panic](err)
			if !ok || p.Value != "a bug" || !strings.Contains(string(p.Stack), "commit_test") {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// clockwork is a Scheduler that commits once a second until it has nothing left.
type clockwork struct {
	ledger
	*commit.Queue[*item]
	left int
}

func (c *clockwork) Prepare() {
	if c.left == 1 {
		_ = c.Put(&item{name: "last"}, commit.Size{})
	}
}

func (c *clockwork) Next() (time.Duration, bool) {
	c.left--
	return time.Second, c.left > 0
}

func TestAScheduler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := &clockwork{Queue: commit.New[*item](commit.Options{}), left: 3}
		if err := c.Serve(t.Context(), c); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		c.expect(t, "store", "install", "store", "install", "store last", "install last")
		c.lines, c.left = nil, 1
		_ = c.Put(&item{name: "accepted"}, commit.Size{})
		if err := c.Finish(t.Context(), c); err != nil {
			t.Error(err)
		}
		c.expect(t, "store accepted last", "install accepted last")
	})
}
