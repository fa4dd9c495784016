package pusher_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/session"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	"github.com/millrace/millrace/internal/testkit"
)

// stuckBus holds up the caller who says that somebody left the channel presence-stuck.
type stuckBus struct {
	bus.Bus
	entered, free chan struct{}
}

func (b *stuckBus) Leave(ls ...bus.Leave) {
	for i := range ls {
		if ls[i].Topic.Name == "presence-stuck" {
			close(b.entered)
			<-b.free
		}
	}
	b.Bus.Leave(ls...)
}

// join makes p a member of a channel and waits for success. What comes before it must not
// come.
func join(t *testing.T, p *testkit.Peer, id, channel, user string) {
	t.Helper()
	data := `{\"user_id\":\"` + user + `\"}`
	auth := testkit.ChannelAuth(id, channel, `{"user_id":"`+user+`"}`)
	if err := p.SendText(`{"event":"pusher:subscribe","data":{"channel":"` + channel + `","auth":"` + auth + `","channel_data":"` + data + `"}}`); err != nil {
		t.Fatal(err)
	}
	if f, err := p.Next(waitLimit); err != nil || !strings.Contains(string(f.Payload), "subscription_succeeded") {
		t.Fatalf("got %q, %v; want success", f.Payload, err)
	}
}

func (s *stack) enter(t *testing.T, channel, user string) *testkit.Peer {
	t.Helper()
	p := s.dial(t)
	id, err := p.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	join(t, p, id, channel, user)
	return p
}

// oneWorker is a registry whose only worker carries out the ends of connections.
type oneWorker struct {
	*session.Table
	metrics *prometheus.Registry
}

func newOneWorker(log *slog.Logger) *oneWorker {
	m := prometheus.NewRegistry()
	return &oneWorker{session.New(session.Options{
		Log: log, Metrics: session.NewMetrics(m), Cleanup: session.Cleanup{QueueSize: 100, BatchSize: 1, Workers: 1},
	}), m}
}

// batches is how often the worker has done something.
func (w *oneWorker) batches(t *testing.T) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "millrace_session_cleanup_batches_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("batches are not counted")
	return 0
}

// await returns when the worker works. A connection that ends before carries out its end by itself,
// however much the worker has to do.
func (w *oneWorker) await(t *testing.T, s *stack) {
	t.Helper()
	err := testkit.Eventually(t.Context(), func() error {
		s.connect(t).Cut()
		if err := testkit.Eventually(t.Context(), func() error {
			if s.sessions.Len() > 0 {
				return errStillThere
			}
			return nil
		}); err != nil || w.batches(t) > 0 {
			return err
		}
		return errors.New("the worker does nothing")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRejoinWhileTheOldConnectionWaits holds the only worker up, cuts a user's connection
// and lets the user come back before the effects of the cut have happened.
func TestRejoinWhileTheOldConnectionWaits(t *testing.T) {
	t.Parallel()
	stuck := &stuckBus{entered: make(chan struct{}), free: make(chan struct{})}
	var worker *oneWorker
	s := newStack(t, func(o *pushersession.Options) {
		worker = newOneWorker(o.Log)
		o.Table = worker.Table
	}, func(b bus.Bus) bus.Bus {
		stuck.Bus = b
		return stuck
	})
	s.app.Limits.MaxConnections = 4
	s.app.Limits.MaxPresenceMembers = 2
	worker.await(t, s)
	witness := s.enter(t, "presence-x", "witness")
	blocker, old := s.enter(t, "presence-stuck", "blocker"), s.enter(t, "presence-x", "u-9")
	wantText(t, witness, `{"event":"pusher_internal:member_added","channel":"presence-x","data":"{\"user_id\":\"u-9\",\"user_info\":{}}"}`)
	blocker.Cut()
	<-stuck.entered
	old.Cut()
	if err := testkit.Eventually(t.Context(), func() error {
		if s.sessions.Open(testkit.AppID) != 1 {
			return errors.New("the quota still counts who is gone")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := s.sessions.Len(); n != 3 {
		t.Errorf("%d are listed, want all of whom an effect waits", n)
	}
	again := s.enter(t, "presence-x", "u-9") // the channel is full, and u-9 one of its members
	close(stuck.free)
	if err := testkit.Eventually(t.Context(), func() error {
		if s.sessions.Len() != 2 {
			return errStillThere
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	again.Cut()
	// Nothing in between: u-9 was there all the time.
	wantText(t, witness, `{"event":"pusher_internal:member_removed","channel":"presence-x","data":"{\"user_id\":\"u-9\"}"}`)
}

// lameBus panics when somebody leaves.
type lameBus struct{ bus.Bus }

func (lameBus) Leave(...bus.Leave) { panic("boom") }

func TestALeaveThatFailsSaysSoAndIsOverAllTheSame(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, func(b bus.Bus) bus.Bus { return lameBus{b} })
	p := s.enter(t, "presence-x", "u-9")
	p.Cut()
	if err := testkit.Eventually(t.Context(), func() error {
		if s.sessions.Len() != 0 || s.sessions.Open(testkit.AppID) != 0 {
			return errStillThere
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if !strings.Contains(s.log.String(), "cleanup failed") {
		t.Errorf("the log does not tell:\n%s", s.log)
	}
}
