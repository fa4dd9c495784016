package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/admin"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/store/postgres"
	"github.com/millrace/millrace/internal/store/storetest"
	"github.com/millrace/millrace/internal/testkit/pgtest"
)

var cluster, stopCluster = pgtest.Shared()

func TestMain(m *testing.M) {
	code := m.Run()
	// Not goleak.VerifyTestMain, which would look while the cluster runs.
	if err := errors.Join(stopCluster(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open opens a store until the test ends.
func open(t testing.TB, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t testing.TB, s *postgres.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// suite opens stores for storetest as what they implement.
func suite[S any](as func(*postgres.Store) S) storetest.Open[S] {
	return func(t *testing.T) (S, func(t *testing.T) S) {
		o := postgres.Options{URL: cluster(t).Database(t)}
		s := open(t, o)
		return as(s), func(t *testing.T) S {
			shut(t, s) // once more by its cleanup, which is harmless
			s = open(t, o)
			return as(s)
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("apps", func(t *testing.T) {
		t.Parallel()
		storetest.RunApps(t, suite(func(s *postgres.Store) app.Store { return s }))
	})
	t.Run("signatures", func(t *testing.T) {
		t.Parallel()
		storetest.RunSignatures(t, suite(func(s *postgres.Store) admin.Signatures { return s }))
	})
}

func record(id string, version uint64) app.Record {
	return app.Record{ID: id, Version: version, Keys: []string{"key-" + id}, Document: fmt.Appendf(nil, `{"version":%d}`, version)}
}

func put(t testing.TB, s *postgres.Store, id string, version uint64) {
	t.Helper()
	if _, err := s.PutApp(t.Context(), record(id, version)); err != nil {
		t.Fatalf("PutApp: %v", err)
	}
}

// versions of the apps, as "id:version".
func versions(t testing.TB, s *postgres.Store) (all []string) {
	t.Helper()
	if err := s.LoadApps(t.Context(), func(r app.Record) error {
		all = append(all, fmt.Sprintf("%s:%d", r.ID, r.Version))
		return nil
	}); err != nil {
		t.Fatalf("LoadApps: %v", err)
	}
	return all
}

func TestNodesMayStartTogether(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	const nodes = 8
	results := make(chan error, nodes)
	for range nodes {
		go func() {
			s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
			if err == nil {
				err = errors.Join(s.Health(t.Context()), s.Close())
			}
			results <- err
		}()
	}
	for range nodes {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefusesTablesOfANewerVersion(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	open(t, postgres.Options{URL: url})
	cluster(t).Execute(t, url, "UPDATE millrace_schema SET version = 1000")
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, postgres.ErrTooNew) || !strings.Contains(err.Error(), "run the newer Millrace") {
		t.Errorf("got %v, want ErrTooNew with a hint", err)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	url := c.Database(t)
	const secret = "s3cr#t%p@ss/w?rd"
	database := databaseOf(t, url)
	nobody := "nobody_" + database // roles belong to the cluster
	c.Execute(t, url, "CREATE ROLE "+nobody+" LOGIN PASSWORD '"+secret+"'")
	for name, tt := range map[string]struct{ url, hint string }{
		"no URL":                   {"", "postgres://user:password@host"},
		"another scheme":           {"mysql://u:" + "s3cr" + "@db/x", "postgres://user:password@host"},
		"keywords":                 {"host=db password=s3cr", "postgres://user:password@host"},
		"an unescaped password":    {"postgres://u:s3cr%@db/x", "two hexadecimal digits"},
		"a bad port":               {"postgres://u:s3cr@db:port/x", "cannot be read"},
		"a setting that means nil": {"postgres://u:s3cr%25x@db/x?sslmode=maybe&password=s3crmore", "sslmode"},
		"nobody listens":           {"postgres://u:s3cr@127.0.0.1:1/x", "check that PostgreSQL runs there"},
		"no such socket":           {"postgres://u:s3cr@/x?host=/nowhere", "check that PostgreSQL runs there"},
		"a wrong password":         {c.URL(database, pgtest.User, secret), "check the user and the password"},
		"a wrong user":             {c.URL(database, "stranger", secret), "check the user and the password"},
		"no such database":         {c.URL("nowhere", pgtest.User, pgtest.Password), "make the database"},
		"no right to make tables":  {c.URL(database, nobody, secret), "let the user of the URL create tables"},
		"no such schema":           {url + "&search_path=nowhere", "make the schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := postgres.Open(t.Context(), postgres.Options{URL: tt.url})
			if err == nil {
				_ = s.Close()
				t.Fatal("Open succeeded")
			}
			if !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("got %v, want %q in it", err, tt.hint)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				for _, password := range []string{"s3cr", pgtest.Password} {
					if strings.Contains(e.Error(), password) {
						t.Errorf("the error tells the password: %v", e)
					}
				}
			}
		})
	}
}

func TestAUserNeedsNoMoreThanTheTables(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	url := c.Database(t)
	put(t, open(t, postgres.Options{URL: url}), "a", 0)
	database := databaseOf(t, url)
	reads, writes := "reader_"+database, "writer_"+database // roles belong to the cluster
	c.Execute(t, url, "CREATE ROLE "+reads+" LOGIN PASSWORD 'reader'", "CREATE ROLE "+writes+" LOGIN PASSWORD 'writer'",
		"GRANT SELECT ON ALL TABLES IN SCHEMA public TO "+reads+", "+writes,
		"GRANT INSERT, UPDATE, DELETE ON millrace_apps, millrace_app_keys, millrace_revisions TO "+writes)

	writer := open(t, postgres.Options{URL: c.URL(database, writes, "writer")})
	put(t, writer, "a", 1)
	put(t, writer, "b", 0)
	if err := writer.DeleteApp(t.Context(), "b", 1); err != nil {
		t.Errorf("DeleteApp: %v", err)
	}

	metrics := prometheus.NewPedanticRegistry()
	reader := open(t, postgres.Options{URL: c.URL(database, reads, "reader"), Metrics: postgres.NewMetrics(metrics)})
	_, err := reader.PutApp(t.Context(), record("a", 2))
	if err == nil || !strings.Contains(err.Error(), "permission denied") || !strings.Contains(err.Error(), "let the user of the URL") {
		t.Errorf("PutApp of a user who may only read: got %v, want a hint", err)
	}
	if diff := cmp.Diff([]string{"a:2"}, versions(t, reader)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := value(t, metrics, "millrace_postgres_failures_total"); got != 1 {
		t.Errorf("got %v failures counted, want 1", got)
	}
}

func databaseOf(t testing.TB, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return config.Database
}

// value adds up the counters and gauges of one name.
func value(t testing.TB, g prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestConflictsAreNoFailures(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewPedanticRegistry()
	s := open(t, postgres.Options{URL: cluster(t).Database(t), Metrics: postgres.NewMetrics(metrics)})
	put(t, s, "a", 0)
	_, conflict := s.PutApp(t.Context(), record("a", 0))
	_, taken := s.PutApp(t.Context(), app.Record{ID: "b", Keys: []string{"key-a"}, Document: []byte("{}")})
	missing := s.DeleteApp(t.Context(), "b", 1)
	if !errors.Is(conflict, app.ErrConflict) || !errors.Is(taken, app.ErrKeyTaken) || !errors.Is(missing, app.ErrNotFound) {
		t.Errorf("got %v, %v and %v", conflict, taken, missing)
	}
	if got := value(t, metrics, "millrace_postgres_failures_total"); got != 0 {
		t.Errorf("got %v failures counted, want none", got)
	}
}

func TestAQueryThatHangsEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	patient, s := open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url, Timeout: 5 * time.Second})
	put(t, patient, "a", 0)
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.Background()) }()
	if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE millrace_revisions"); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"PutApp":    func() error { _, err := s.PutApp(t.Context(), record("a", 1)); return err },
		"DeleteApp": func() error { return s.DeleteApp(t.Context(), "a", 1) },
		"LoadApps":  func() error { return s.LoadApps(t.Context(), func(app.Record) error { return nil }) },
		"Health":    func() error { return s.Health(t.Context()) },
	}
	var wg sync.WaitGroup
	for what, call := range calls {
		wg.Go(func() {
			err := call()
			if err == nil || !strings.Contains(err.Error(), "no answer within 5s") && !strings.Contains(err.Error(), "another session holds a lock") {
				t.Errorf("%s: got %v, want the end of its time", what, err)
			}
		})
	}
	wg.Wait()
	if _, err := other.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a:1"}, versions(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	put(t, s, "a", 1)
}

func TestAReadOnlyServerIsNamed(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	put(t, open(t, postgres.Options{URL: url}), "a", 0)
	s := open(t, postgres.Options{URL: url + "&default_transaction_read_only=on"})
	if _, err := s.PutApp(t.Context(), record("a", 1)); err == nil || !strings.Contains(err.Error(), "name the primary in the URL") {
		t.Errorf("PutApp: got %v, want a hint", err)
	}
	if diff := cmp.Diff([]string{"a:1"}, versions(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProbeChangesNothing(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	if err := postgres.Probe(t.Context(), url); err != nil {
		t.Errorf("a database without tables: %v", err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("it has made %d tables, %v", tables, err)
	}
	put(t, open(t, postgres.Options{URL: url}), "a", 0)
	if err := postgres.Probe(t.Context(), url); err != nil {
		t.Errorf("a database in use: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "UPDATE millrace_schema SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Probe(t.Context(), url); !errors.Is(err, postgres.ErrTooNew) {
		t.Errorf("tables of a newer version: got %v, want %v", err, postgres.ErrTooNew)
	}
	if err := postgres.Probe(t.Context(), "postgres://127.0.0.1:1/none?connect_timeout=2"); err == nil || !strings.Contains(err.Error(), "check that PostgreSQL runs there") {
		t.Errorf("nobody is there: got %v, want a hint", err)
	}
}
