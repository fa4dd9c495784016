package session_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/session"
)

// crowdOf lists n sessions that stay until they are told to go.
func crowdOf(r *session.Table, n int) []*leaver {
	group := r.Group(session.ProtocolViews)
	all := make([]*leaver, n)
	for i := range all {
		all[i] = &leaver{group: group}
		group.Add(&all[i].link, all[i])
	}
	return all
}

func told(all []*leaver) (n int) {
	for _, l := range all {
		n += min(int(l.told.Load()), 1)
	}
	return n
}

func TestRestartAllLetsClientsComeBackOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(0)
		all := crowdOf(r, 2000)
		var calls atomic.Int32
		tell := func(l *leaver) {
			calls.Add(1)
			l.Restart()
		}
		for range 3 { // who waits already does not wait twice
			session.RestartAll(r, session.Select(r, func(l *leaver) bool { return l.told.Load() == 0 }), tell)
		}
		for _, tt := range []struct {
			after       time.Duration
			least, most int
		}{{0, 1, 100}, {500 * time.Millisecond, 900, 1100}, {600 * time.Millisecond, 2000, 2000}} {
			time.Sleep(tt.after)
			synctest.Wait()
			if n := told(all); n < tt.least || n > tt.most {
				t.Errorf("%d were told after another %v, want %d to %d", n, tt.after, tt.least, tt.most)
			}
		}
		if n := calls.Load(); n > 2100 { // those that were about to be told may be told again
			t.Errorf("there were %d calls", n)
		}
		r.Drain(t.Context(), 0)
	})
}

func TestDrainTellsAtOnceWhoWaitsToBeToldToComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(0)
		all := crowdOf(r, 10_000)
		session.RestartAll(r, session.Select(r, func(*leaver) bool { return true }), (*leaver).Restart)
		began := time.Now()
		r.Drain(t.Context(), time.Second)
		if n, d := told(all), time.Since(began); n != len(all) || d > 1200*time.Millisecond {
			t.Errorf("%d were told within %v, want all within the second that it may take", n, d)
		}
		session.RestartAll(r, all, func(*leaver) { t.Error("somebody is told after the end") })
	})
}

func TestCloseAllReturnsWhenAllAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(0)
		all := crowdOf(r, 15_000)
		began := time.Now()
		session.CloseAll(r, session.Select(r, func(*leaver) bool { return true }), (*leaver).Restart)
		if n, d := told(all), time.Since(began); n != len(all) || d > time.Second {
			t.Errorf("%d were closed within %v", n, d)
		}
		r.Drain(t.Context(), 0)
	})
}

// Who is told to come back has had what was published before.
func TestRestartAllWaitsForWhatWasPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		r := session.New(session.Options{Log: slog.New(slog.DiscardHandler), Hub: h})
		all := crowdOf(r, 10)
		session.RestartAll(r, all, (*leaver).Restart)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := told(all); n > 0 {
			t.Errorf("%d were told while events wait for them", n)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }() // ends with stop
		synctest.Wait()
		if n := told(all); n != len(all) {
			t.Errorf("%d were told after that, want %d", n, len(all))
		}
		r.Drain(t.Context(), 0)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
