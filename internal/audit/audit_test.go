package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a writer that keeps everything.
type memory struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(p)
}

func (m *memory) lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Split(strings.TrimSuffix(m.text.String(), "\n"), "\n")
}

// start runs a log until stop, or the end of the test.
func start(t *testing.T, o audit.Options) (l *audit.Log, stop func()) {
	t.Helper()
	l, err := audit.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

func TestEvents(t *testing.T) {
	t.Parallel()
	source := audit.Source{
		ClientIP: "10.0.0.1", Origin: "https://a.example", UserAgent: "x\n\"y\"", Path: "/views/k",
		DeploymentID: "shop", Subject: "user:17", MeteringKey: "team-4",
	}
	const from = `,"client_ip":"10.0.0.1","origin":"https://a.example","user_agent":"x\n\"y\"","path":"/views/k",` +
		`"deployment_id":"shop","subject":"user:17","metering_key":"team-4"}`
	for _, c := range []struct {
		name string
		call func(l *audit.Log)
		want string // what follows timestamp_ms
	}{
		{
			"U08 a missing token",
			func(l *audit.Log) { l.AuthAttempt(audit.Source{}, false, "token-missing", "") },
			`"severity":"Warning","event":{"event_type":"auth_attempt","success":false,"error_code":"token-missing"}}`,
		},
		{
			"U08 a bad token",
			func(l *audit.Log) {
				l.AuthAttempt(source, false, "token-invalid-signature", "the signature does not match")
			},
			`"severity":"Warning","event":{"event_type":"auth_attempt","success":false,"reason":"the signature does not match","error_code":"token-invalid-signature"}` + from,
		},
		{
			"U08 a good token",
			func(l *audit.Log) { l.AuthAttempt(source, true, "", "") },
			`"severity":"Info","event":{"event_type":"auth_attempt","success":true}` + from,
		},
		{
			"a token is minted",
			func(l *audit.Log) { l.TokenMinted(source, "k-1", "publishable", 300) },
			`"severity":"Info","event":{"event_type":"token_minted","key_id":"k-1","key_class":"publishable","ttl_seconds":300}` + from,
		},
		{
			"a limit is reached",
			func(l *audit.Log) { l.RateLimitExceeded(source, "connections_per_ip", 11, 10) },
			`"severity":"Warning","event":{"event_type":"rate_limit_exceeded","limit_type":"connections_per_ip","current_count":11,"limit":10}` + from,
		},
		{
			"an origin differs",
			func(l *audit.Log) { l.OriginValidationFailed(source, "https://a.example", "") },
			`"severity":"Warning","event":{"event_type":"origin_validation_failed","expected":"https://a.example"}` + from,
		},
		{
			"a key is rotated",
			func(l *audit.Log) { l.KeyRotation("old", "new") },
			`"severity":"Info","event":{"event_type":"key_rotation","old_key_id":"old","new_key_id":"new"}}`,
		},
		{
			"a first key",
			func(l *audit.Log) { l.KeyRotation("", "new") },
			`"severity":"Info","event":{"event_type":"key_rotation","new_key_id":"new"}}`,
		},
		{
			"a pattern is suspicious",
			func(l *audit.Log) { l.SuspiciousPattern(source, "many_subjects", "900 in a minute") },
			`"severity":"Critical","event":{"event_type":"suspicious_pattern","pattern_type":"many_subjects","details":"900 in a minute"}` + from,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := new(memory)
			l, stop := start(t, audit.Options{Writer: out, Now: func() time.Time { return time.UnixMilli(1_893_450_000_123) }})
			c.call(l)
			stop()
			lines := out.lines()
			if len(lines) != 1 || !json.Valid([]byte(lines[0])) {
				t.Fatalf("got %q, want one line of JSON", lines)
			}
			id, rest, _ := strings.Cut(strings.TrimPrefix(lines[0], `{"event_id":"`), `","timestamp_ms":1893450000123,`)
			if _, err := uuid.Parse(id); err != nil {
				t.Errorf("event_id in %s: %v", lines[0], err)
			}
			if diff := cmp.Diff(c.want, rest); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNilLog(t *testing.T) {
	t.Parallel()
	var l *audit.Log
	l.AuthAttempt(audit.Source{}, true, "", "")
	l.TokenMinted(audit.Source{}, "", "", 0)
	l.RateLimitExceeded(audit.Source{}, "", 0, 0)
	l.OriginValidationFailed(audit.Source{}, "", "")
	l.KeyRotation("", "")
	l.SuspiciousPattern(audit.Source{}, "", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestFileIsAppendedTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for _, key := range []string{"k-1", "k-2"} {
		l, stop := start(t, audit.Options{Path: path})
		l.KeyRotation("", key)
		stop()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(text), "\n"); len(lines) != 3 || !strings.Contains(lines[0], "k-1") || !strings.Contains(lines[1], "k-2") {
		t.Errorf("got %q, want two lines", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want permissions 0600", info, err)
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	if _, err := audit.New(audit.Options{Path: filepath.Join(t.TempDir(), "no", "such", "folder")}); err == nil {
		t.Error("New succeeded")
	}
}

// gate is a writer that takes a while: each write takes one answer from the channel.
type gate struct {
	memory
	answers chan error
}

func (g *gate) Write(p []byte) (int, error) {
	if err := <-g.answers; err != nil {
		return 0, err
	}
	return g.memory.Write(p)
}

func TestDropsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		out := &gate{answers: make(chan error)}
		l, stop := start(t, audit.Options{Writer: out, MaxPending: 1, Metrics: audit.NewMetrics(registry)})
		l.KeyRotation("", "lost: it cannot be written")
		out.answers <- errors.New("disk full")
		l.KeyRotation("", "written in the end")
		synctest.Wait() // the writer has it
		l.KeyRotation("", "written too")
		l.KeyRotation("", "lost: no room")
		close(out.answers)
		stop()
		l.KeyRotation("", "lost: too late")
		if got := strings.Count(strings.Join(out.lines(), ""), "written"); got != 2 {
			t.Errorf("got %q, want two events", out.lines())
		}
		want := map[string]float64{"queue_full": 1, "shutdown": 1, "write_failed": 1}
		if diff := cmp.Diff(want, dropped(t, registry)); diff != "" {
			t.Errorf("drops by reason (-want +got):\n%s", diff)
		}
	})
}

func TestFailureIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &gate{answers: make(chan error)}
		log := new(memory)
		l, _ := start(t, audit.Options{Writer: out, Log: slog.New(slog.NewTextHandler(log, nil))})
		for _, answer := range []error{nil, errors.New("disk full"), errors.New("disk full"), nil, nil} {
			l.KeyRotation("", "k")
			out.answers <- answer
			synctest.Wait()
		}
		lines := log.lines()
		if len(lines) != 2 || !strings.Contains(lines[0], "cannot be written") || !strings.Contains(lines[1], "written again") {
			t.Errorf("got log %q, want one line when it begins and one when it ends", lines)
		}
	})
}

func dropped(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "millrace_audit_dropped_events_total" {
			for _, m := range f.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return got
}

func TestConcurrentEventsKeepTheirLines(t *testing.T) {
	t.Parallel()
	out := new(memory)
	l, stop := start(t, audit.Options{Writer: out})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				l.AuthAttempt(audit.Source{ClientIP: "10.0.0.1"}, true, "", "")
			}
		})
	}
	all.Wait()
	stop()
	lines := out.lines()
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("torn line %q", line)
		}
	}
	if len(lines) != 1600 {
		t.Errorf("got %d lines, want 1600", len(lines))
	}
}
