package session_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
)

var errUntold = errors.New("not told")

// ends is a registry with workers, and what ended on it.
type ends struct {
	t        *testing.T
	registry *session.Table
	group    *session.Group
	metrics  *prometheus.Registry
	stop     func() // returns when Run has

	left atomic.Int64 // calls of Leave that have returned
}

// settle lets workers come to rest: they pause between batches.
func settle() { <-time.After(restTime) }

const restTime = 10 * time.Millisecond

// gone is a session that has ended.
type gone struct {
	link  session.Link
	of    *ends
	hold  chan struct{} // Leave waits for it unless it is nil
	err   error
	calls atomic.Int64
}

func (*gone) Restart() {}

func (g *gone) CleanUp() error {
	defer g.of.group.Remove(&g.link)
	if g.calls.Add(1) > 1 {
		g.of.t.Error("a session left twice")
	}
	if g.hold != nil {
		<-g.hold
	}
	g.of.left.Add(1)
	return g.err
}

func startEnds(t *testing.T, c session.Cleanup) *ends {
	t.Helper()
	e := &ends{t: t, metrics: prometheus.NewRegistry()}
	e.registry = session.New(session.Options{
		Log: slog.New(slog.DiscardHandler), Metrics: session.NewMetrics(e.metrics), Cleanup: c,
	})
	e.group = e.registry.Group(session.ProtocolChannels)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.registry.Run(ctx)
	}()
	e.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(e.stop)
	synctest.Wait()
	return e
}

// end ends one connection, as its socket does, and reports whether it cleaned up by itself.
func (e *ends) end(err error, hold chan struct{}) (isInline bool) {
	e.t.Helper()
	g, a := &gone{of: e, err: err, hold: hold}, &app.App{ID: "77"}
	if err := e.group.Acquire(a); err != nil {
		e.t.Fatal(err)
	}
	e.group.Add(&g.link, g)
	e.group.Ended(a, socket.ReasonLost)
	before := e.metric("millrace_session_cleanup_inline_total")
	e.group.CleanUp(g)
	return e.metric("millrace_session_cleanup_inline_total") > before
}

func (e *ends) metric(name string) float64 {
	e.t.Helper()
	families, err := e.metrics.Gather()
	if err != nil {
		e.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func TestPlacesAreFreeAndSessionsListedWhileTheyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := startEnds(t, session.Cleanup{QueueSize: 10, BatchSize: 2, Workers: 1})
		hold := make(chan struct{})
		for range 5 {
			e.end(nil, hold)
		}
		synctest.Wait()
		if open, listed := e.registry.Open("77"), e.registry.Len(); open != 0 || listed != 5 {
			t.Errorf("%d count against the quota and %d are listed, want 0 and 5", open, listed)
		}
		if got := e.metric("millrace_session_cleanup_waiting"); got != 5 {
			t.Errorf("%v are said to wait, want 5", got)
		}
		close(hold)
		settle()
		if listed := e.registry.Len(); listed != 0 {
			t.Errorf("%d are listed after all left", listed)
		}
		if got := e.metric("millrace_session_cleanup_waiting"); got != 0 {
			t.Errorf("%v are said to wait, want none", got)
		}
	})
}

func TestAFullQueueMakesConnectionsCleanUpByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := startEnds(t, session.Cleanup{QueueSize: 1, BatchSize: 1, Workers: 1})
		hold := make(chan struct{})
		e.end(nil, hold) // taken by the worker
		synctest.Wait()
		e.end(nil, hold) // fills the queue
		for range 500 {
			if !e.end(nil, nil) {
				t.Fatal("one more waits than there is room for")
			}
		}
		close(hold)
		settle()
		if got := e.left.Load(); got != 502 {
			t.Errorf("%d left, want 502", got)
		}
		if got := e.metric("millrace_session_cleanup_inline_total"); got != 500 {
			t.Errorf("%v are said to have done it by themselves, want 500", got)
		}
	})
}

func TestWhatWaitsIsDoneBeforeRunReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := startEnds(t, session.Cleanup{QueueSize: 1000, BatchSize: 7, Workers: 3})
		var enders sync.WaitGroup
		for range 10 {
			enders.Go(func() {
				for range 100 {
					e.end(nil, nil)
				}
			})
		}
		enders.Wait()
		e.stop()
		if got := e.left.Load(); got != 1000 || e.registry.Len() != 0 {
			t.Errorf("%d left and %d are listed, want 1000 and none", got, e.registry.Len())
		}
		if !e.end(nil, nil) {
			t.Error("what ends after Run waits for nobody")
		}
	})
}

func TestNobodyWaitsWithoutWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if e := startEnds(t, session.Cleanup{}); !e.end(nil, nil) {
			t.Error("it waits, and nobody will come")
		}
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	const pause = 30 * time.Second
	fail := func(e *ends, n int) {
		for range n {
			e.end(errUntold, nil)
			settle()
		}
	}
	tests := []struct {
		name  string
		do    func(e *ends)
		wants []bool // whether those that follow do it by themselves
	}{
		{"ten failures in a row are borne", func(e *ends) { fail(e, 10) }, []bool{false, false}},
		{"more open it", func(e *ends) { fail(e, 11) }, []bool{true, true}},
		{"a success between begins anew", func(e *ends) { fail(e, 10); e.end(nil, nil); settle(); fail(e, 10) }, []bool{false}},
		{"it stays open for the pause", func(e *ends) { fail(e, 11); <-time.After(pause - restTime - 1) }, []bool{true}},
		{"after it a success closes it", func(e *ends) { fail(e, 11); <-time.After(pause) }, []bool{false, false, false}},
		{"after it one failure opens it again", func(e *ends) { fail(e, 11); <-time.After(pause); fail(e, 1) }, []bool{true}},
		{"and after another pause one more is tried", func(e *ends) {
			fail(e, 11)
			<-time.After(pause)
			fail(e, 1)
			<-time.After(pause)
		}, []bool{false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := startEnds(t, session.Cleanup{QueueSize: 100, BatchSize: 64, Workers: 1, BreakerFailures: 10, BreakerPause: pause})
				tt.do(e)
				for i, want := range tt.wants {
					if got := e.end(nil, nil); got != want {
						t.Errorf("connection %d: it cleans up by itself: %v, want %v", i, got, want)
					}
					settle()
				}
				if e.registry.Len() != 0 {
					t.Errorf("%d are listed still", e.registry.Len())
				}
			})
		})
	}
}

func TestOnlyOneIsTriedAfterThePause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := startEnds(t, session.Cleanup{QueueSize: 100, BatchSize: 1, Workers: 1, BreakerPause: time.Second})
		e.end(errUntold, nil)
		settle()
		if got := e.metric("millrace_session_cleanup_breaker_open"); got != 1 {
			t.Errorf("the breaker is said to be %v after a failure, want 1", got)
		}
		<-time.After(time.Second)
		hold := make(chan struct{})
		e.end(nil, hold) // the trial
		settle()
		if !e.end(nil, nil) {
			t.Error("a second one is tried")
		}
		close(hold)
		settle()
		if e.end(nil, nil) {
			t.Error("the breaker is open after a good trial")
		}
		if got := e.metric("millrace_session_cleanup_breaker_open"); got != 0 {
			t.Errorf("the breaker is said to be %v, want 0", got)
		}
	})
}
