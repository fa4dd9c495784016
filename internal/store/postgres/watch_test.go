package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/store/postgres"
	"github.com/millrace/millrace/internal/testkit/pgtest"
)

// never is a poll interval that no test waits for.
const never = time.Hour

// waitLimit bounds every wait. Only a failing test waits so long.
const waitLimit = time.Minute

// watch calls fn, if any, and then reports on the channel, whenever apps may have changed, until
// the test ends or stop is called.
func watch(t testing.TB, s *postgres.Store, fn func()) (changed <-chan struct{}, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	calls, ended := make(chan struct{}, 1000), make(chan error, 1)
	go func() {
		ended <- s.WatchApps(ctx, func() {
			if fn != nil {
				fn()
			}
			calls <- struct{}{}
		})
		close(ended)
	}()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("WatchApps: %v", err)
		}
	}
	t.Cleanup(stop)
	return calls, stop
}

func expectChange(t testing.TB, changed <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(waitLimit):
		t.Fatalf("%s was not seen", what)
	}
}

// reload is what a node does when it is told of a change.
func reload(t testing.TB, s *postgres.Store) func() {
	return func() {
		if err := s.LoadApps(context.Background(), func(app.Record) error { return nil }); err != nil {
			t.Errorf("LoadApps: %v", err)
		}
	}
}

func TestAnotherNodeIsToldOfAChange(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	one, two := open(t, postgres.Options{URL: url, PollInterval: never}), open(t, postgres.Options{URL: url, PollInterval: never})
	put(t, one, "a", 0)
	reload(t, two)()
	put(t, one, "a", 1) // after two has loaded, before it watches
	changed, stop := watch(t, two, reload(t, two))
	expectChange(t, changed, "a change from before the watch")

	for range 3 { // which says nothing
		cluster(t).Execute(t, url, "NOTIFY millrace_apps")
	}
	if _, err := one.PutApp(t.Context(), record("a", 7)); err == nil { // neither does a refusal
		t.Error("PutApp of another version succeeded")
	}
	put(t, one, "a", 2)
	expectChange(t, changed, "a change")
	put(t, one, "b", 0)
	expectChange(t, changed, "a new app")
	if err := one.DeleteApp(t.Context(), "a", 3); err != nil {
		t.Fatal(err)
	}
	expectChange(t, changed, "a deletion")
	stop()
	if n := len(changed); n > 0 {
		t.Errorf("told %d times more than there were changes", n)
	}
	if diff := cmp.Diff([]string{"b:1"}, versions(t, two)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAChangeWithoutNotificationIsSeenByLooking(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	s := open(t, postgres.Options{URL: url, PollInterval: 20 * time.Millisecond})
	reload(t, s)()
	changed, stop := watch(t, s, reload(t, s))
	for range 3 {
		cluster(t).Execute(t, url, "UPDATE millrace_revisions SET revision = revision + 1")
		expectChange(t, changed, "a change without notification")
	}
	stop()
	if n := len(changed); n > 0 {
		t.Errorf("told %d times more than there were changes", n)
	}
}

func TestALoadThatFailedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Options{URL: cluster(t).Database(t), PollInterval: 20 * time.Millisecond})
	changed, _ := watch(t, s, nil) // as if no load ever succeeded
	for range 3 {
		expectChange(t, changed, "that nothing is loaded")
	}
}

func TestWatchingSurvivesTheServer(t *testing.T) {
	t.Parallel()
	c := pgtest.Open(t)
	url := c.Database(t)
	metrics := prometheus.NewPedanticRegistry()
	var log strings.Builder // of the watch alone
	one := open(t, postgres.Options{URL: url, PollInterval: never})
	two := open(t, postgres.Options{
		URL: url, PollInterval: never, Metrics: postgres.NewMetrics(metrics), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	put(t, one, "a", 0)
	changed, stop := watch(t, two, func() { _ = two.LoadApps(context.Background(), func(app.Record) error { return nil }) })
	expectChange(t, changed, "the first change")

	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err := one.PutApp(t.Context(), record("a", 1))
	if err == nil || strings.Contains(err.Error(), pgtest.Password) {
		t.Errorf("PutApp without a server: got %v", err)
	}
	if err := one.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "check that PostgreSQL runs there") {
		t.Errorf("Health without a server: got %v, want a hint", err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := one.Health(t.Context()); err != nil {
		t.Errorf("Health: %v", err)
	}
	put(t, one, "a", 1)
	expectChange(t, changed, "a change after the server came back")
	if diff := cmp.Diff([]string{"a:2"}, versions(t, two)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := value(t, metrics, "millrace_postgres_reconnects_total"); got < 1 {
		t.Errorf("got %v reconnects counted", got)
	}
	if got := value(t, metrics, "millrace_postgres_listening_connections"); got != 1 {
		t.Errorf("got %v listening connections, want 1", got)
	}
	stop()
	if got := strings.Count(log.String(), "changes of apps are not seen"); got != 1 || strings.Contains(log.String(), pgtest.Password) {
		t.Errorf("want one warning, without the password, and got %d:\n%s", got, log.String())
	}
}
