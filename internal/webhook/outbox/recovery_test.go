package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// leave stores subjects that a former process has told.
func leave(t testing.TB, s webhook.Store, subjects ...webhook.Subject) {
	t.Helper()
	var c webhook.Commit
	for _, subject := range subjects {
		c.Told = append(c.Told, webhook.Told{Subject: subject, IsPresent: true})
	}
	if err := s.CommitWebhooks(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
}

// formerly are a channel, its member and a user of app "app".
func formerly() []webhook.Subject {
	return []webhook.Subject{
		{App: "app", Kind: webhook.SubjectMember, Channel: "presence-a", User: "u"},
		{App: "app", Kind: webhook.SubjectChannel, Channel: "presence-a"},
		{App: "app", Kind: webhook.SubjectUser, User: "u"},
	}
}

// countTold counts the subjects that a store has.
func countTold(t testing.TB, s webhook.Store) (n int) {
	t.Helper()
	err := s.LoadWebhooks(t.Context(), webhook.Loader{
		Part:     func(webhook.Part) error { return nil },
		Letter:   func(webhook.Letter) error { return nil },
		Subject:  func(webhook.Subject) error { n++; return nil },
		Sequence: func(webhook.Sequence) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What changed while no process ran: only what a webhook still asks for is told, and the store keeps
// nothing of the rest.
func TestWhatNoWebhookAsksForIsForgotten(t *testing.T) {
	t.Parallel()
	filtered := hook("hook")
	filtered.Filter.ChannelPrefix = "private-"
	for name, c := range map[string]struct {
		endpoints []webhook.Endpoint
		want      []string
		forgotten int
	}{
		"nothing has changed": {
			[]webhook.Endpoint{hook("hook")},
			[]string{"member_removed presence-a u server_restart", "channel_vacated presence-a server_restart", "user_offline u 1 server_restart"},
			0,
		},
		"the app or its webhooks are gone": {nil, nil, 3},
		"another webhook asks for the same": {
			[]webhook.Endpoint{{ID: "other", URL: "http://hook/hook", EventTypes: []string{"member_added", "member_removed"}}},
			[]string{"member_removed presence-a u server_restart"},
			2,
		},
		"only coming is asked for":     {[]webhook.Endpoint{hook("hook", "member_added", "channel_occupied", "user_online")}, nil, 3},
		"other channels are asked for": {[]webhook.Endpoint{filtered}, []string{"user_offline u 1 server_restart"}, 2},
		"other events are asked for":   {[]webhook.Endpoint{hook("hook", "client_event")}, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				s := openStore(t, t.TempDir())
				t.Cleanup(func() { closeStore(t, s) })
				leave(t, s, formerly()...)
				registry, log := prometheus.NewRegistry(), &bytes.Buffer{}
				o.Store, o.Metrics, o.Log = s, outbox.NewMetrics(registry), slog.New(slog.NewTextHandler(log, nil))
				n := start(t, o, c.endpoints...)
				t.Cleanup(func() { _ = n.stop() })
				after(29 * time.Second)
				r.expect(t, "before the grace is over")
				after(2 * time.Second)
				r.expect(t, "after it", c.want...)
				if left := countTold(t, s); left > 0 {
					t.Errorf("%d subjects are still stored", left)
				}
				summary := fmt.Sprintf("told=%d returned=0 forgotten=%d", 3-c.forgotten, c.forgotten)
				if n := strings.Count(log.String(), summary); n != 1 {
					t.Errorf("%q is logged %d times:\n%s", summary, n, log)
				}
				expectMetrics(t, registry, map[string]int{"recovered_subjects_total": 3})
			})
		})
	}
}

// A server that takes long to start listening leaves clients the whole grace.
func TestTheStartGraceBeginsWithRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		s := openStore(t, t.TempDir())
		t.Cleanup(func() { closeStore(t, s) })
		leave(t, s, formerly()...)
		o.Store, o.Apps = s, apps(t)
		e := outbox.New(o)
		if err := e.SetEndpoints("app", []webhook.Endpoint{hook("hook", "member_removed", "member_added")}); err != nil {
			t.Fatal(err)
		}
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		after(time.Hour)
		ctx, cancel := context.WithCancel(context.Background())
		n := &node{Outbox: e, t: t, cancel: cancel, done: make(chan error, 1)}
		go func() { n.done <- e.Run(ctx) }()
		t.Cleanup(func() { _ = n.stop() })
		after(20 * time.Second)
		n.MemberAdded("app", "presence-a", "u")
		after(time.Minute)
		r.expect(t, "who came back within it")
	})
}

// More than may wait for an endpoint is told as fast as the endpoint takes it: nothing is given up
// because it is too much, and another endpoint that is dead holds up nothing.
func TestTheRecoveryTellsNoFasterThanItIsTaken(t *testing.T) {
	t.Parallel()
	for name, isOneDead := range map[string]bool{"all take": false, "one is dead": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				s := openStore(t, t.TempDir())
				t.Cleanup(func() { closeStore(t, s) })
				const members = 6000
				var all []webhook.Subject
				for i := range members {
					all = append(all, webhook.Subject{App: "app", Kind: webhook.SubjectMember, Channel: "presence-a", User: fmt.Sprintf("u-%04d", i)})
				}
				leave(t, s, all...)
				o.Store, o.MaxPending = s, 300_000 // half of all, and more than one turn
				r.answers(func(request, int) int {
					time.Sleep(200 * time.Millisecond) // a request of 100 events
					return 200
				})
				endpoints := []webhook.Endpoint{hook("hook")}
				if isOneDead {
					endpoints = append(endpoints, hook("dead"))
				}
				n := start(t, o, endpoints...)
				t.Cleanup(func() { _ = n.stop() })
				after(time.Minute)
				got := map[string]int{}
				for _, req := range r.take() {
					for _, e := range req.events(t) {
						got[e]++
					}
				}
				for _, m := range all {
					if e := "member_removed presence-a " + m.User + " server_restart"; got[e] != 1 {
						t.Fatalf("%s came %d times", e, got[e])
					}
				}
				if letters := deadOf(t, n); slices.ContainsFunc(letters, func(l webhook.Letter) bool { return l.Endpoint == "hook" }) {
					t.Errorf("%d dead letters", len(letters))
				}
			})
		})
	}
}

// counted counts what a store is asked.
type counted struct {
	*embedded.Store
	commits atomic.Int64
}

func (c *counted) CommitWebhooks(ctx context.Context, commit *webhook.Commit) error {
	c.commits.Add(1)
	return c.Store.CommitWebhooks(ctx, commit)
}

// Whom no webhook asks about costs neither an allocation nor a look into the store.
func TestWhatNoWebhookAsksForCostsNothing(t *testing.T) {
	s := openStore(t, t.TempDir())
	t.Cleanup(func() { closeStore(t, s) })
	store := &counted{Store: s}
	n := startWith(t, outbox.Options{Store: store}, map[string][]webhook.Endpoint{"app": {hook("hook", "client_event")}})
	t.Cleanup(func() { _ = n.stop() })
	for _, app := range []string{"app", "other"} {
		if got := testing.AllocsPerRun(1000, func() {
			n.Occupied(app, "presence-a")
			n.MemberAdded(app, "presence-a", "u")
			n.UserOnline(app, "u")
			n.UserOffline(app, "u")
			n.MemberRemoved(app, "presence-a", "u")
			n.Vacated(app, "presence-a")
		}); got != 0 {
			t.Errorf("app %s: %v allocations", app, got)
		}
	}
	if err := n.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := store.commits.Load(); got != 0 {
		t.Errorf("%d commits", got)
	}
}

// The events of a start are readable for each official library.
func TestOfficialLibrariesReadTheCause(t *testing.T) {
	t.Parallel()
	url, received := listen(t)
	endpoint := webhook.Endpoint{ID: "hook", URL: url, EventTypes: []string{"channel_vacated", "member_removed", "user_offline"}}
	s := openStore(t, t.TempDir())
	t.Cleanup(func() { closeStore(t, s) })
	leave(t, s, formerly()...)
	n := start(t, outbox.Options{Store: s, StartGrace: time.Millisecond}, endpoint)
	waitFor(t, "it is told", func() bool { return len(received()) > 0 })
	if err := n.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range received() {
		for _, e := range w.events(t) {
			names = append(names, e.name)
		}
		if !bytes.Contains(w.body, []byte(`,"cause":"server_restart"}`)) {
			t.Errorf("no cause in %s", w.body)
		}
		for _, p := range parsers {
			if p.knows != nil {
				continue // it is told of other kinds in requests of their own
			}
			p.check(t, w)
		}
	}
	if diff := cmp.Diff([]string{"member_removed", "channel_vacated", "user_offline"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
