package views_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/meter"
	"github.com/millrace/millrace/internal/testkit"
)

// recorder keeps events as text, in their order.
type recorder struct {
	mu     sync.Mutex
	events []string // guarded by mu
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) wait(t *testing.T, n int) []string {
	t.Helper()
	err := testkit.Eventually(t.Context(), func() error {
		if len(r.all()) < n {
			return errors.New("too few events")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v: %q", err, r.all())
	}
	return r.all()
}

// usageLog is where a meter emits to.
type usageLog struct {
	recorder
	identities map[meter.Identity]bool // guarded by mu
	bytes      map[string]int          // by type of event; guarded by mu
}

// usageEvent has the members of all events of views 7.1.
type usageEvent struct {
	Type          string
	ClientID      string  `json:"client_id"`
	DeploymentID  string  `json:"deployment_id"`
	MeteringKey   string  `json:"metering_key"`
	Subject       string  `json:"subject"`
	RemoteAddr    string  `json:"remote_addr"`
	KeyClass      string  `json:"key_class"`
	Duration      float64 `json:"duration_secs"`
	Subscriptions int     `json:"subscription_count"`
	View          string  `json:"view_id"`
	Rows          int
	Messages      int
	Bytes         int
}

func (l *usageLog) Emit(_ context.Context, batch []byte) error {
	var b struct{ Events []struct{ Event usageEvent } }
	if err := json.Unmarshal(batch, &b); err != nil {
		return err
	}
	for _, envelope := range b.Events {
		e := envelope.Event
		l.count(&e) // before it is noted: who has waited for the note looks at the counts
		switch e.Type {
		case "connection_established":
			l.note("%s %s %v", e.Type, e.KeyClass, e.RemoteAddr != "")
		case "connection_closed":
			l.note("%s %d %v", e.Type, e.Subscriptions, e.Duration > 0)
		case "snapshot_sent":
			l.note("%s %s %d", e.Type, e.View, e.Rows)
		case "update_sent":
			l.note("%s %s %d", e.Type, e.View, e.Messages)
		default:
			l.note("%s %s", e.Type, e.View)
		}
	}
	return nil
}

func (l *usageLog) count(e *usageEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes == nil {
		l.bytes, l.identities = make(map[string]int), make(map[meter.Identity]bool)
	}
	l.bytes[e.Type] += e.Bytes
	l.identities[meter.Identity{ClientID: e.ClientID, DeploymentID: e.DeploymentID, MeteringKey: e.MeteringKey, Subject: e.Subject}] = true
}

// who is everybody that was metered.
func (l *usageLog) who() []meter.Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.identities))
}

// metered makes server S with a meter that emits to l.
func metered(t *testing.T, l *usageLog) func(*settings) {
	t.Helper()
	m, err := meter.New(meter.Options{Emitter: l, Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	run(t, m.Run)
	return func(o *settings) {
		o.Meter = m
		signedSessions(o)
	}
}

func TestU01UsageOfAConnectionInItsOrder(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	c := s.connect(t, valid(t, claims{"deployment_id": "d"}))
	c.subscribed("Auction/list")
	s.mutate(t, "a", `{"n":1}`)
	c.wantBinary(`{"op":"patch"}`)
	c.Cut()
	want := []string{
		"connection_established publishable true",
		"subscription_created Auction/list",
		"update_sent Auction/list 1",
		"snapshot_sent Auction/list 0",
		"update_sent Auction/list 1",
		"subscription_removed Auction/list",
		"connection_closed 1 true",
	}
	if diff := cmp.Diff(want, l.wait(t, len(want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	who := l.who()
	for _, id := range who {
		if id.ClientID == "" || id.DeploymentID != "d" || id.MeteringKey != "m" || id.Subject != "u" {
			t.Errorf("got identity %+v", id)
		}
	}
	if len(who) != 1 {
		t.Errorf("one connection has %d identities", len(who))
	}
}

func TestU02SnapshotsAreMeteredByBatchInBytesOnTheWire(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	for i := range 120 {
		s.mutate(t, strconv.Itoa(i), `{"n":1}`)
	}
	c := s.connect(t, valid(t, nil))
	c.send(subscribeList)
	c.wantBinary(`{"op":"subscribed"}`)
	bytes := 0
	for range 2 {
		f, err := c.Next(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(f.Payload)
	}
	got := l.wait(t, 5)[3:]
	if diff := cmp.Diff([]string{"snapshot_sent Auction/list 50", "snapshot_sent Auction/list 70"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.bytes["snapshot_sent"]; got != bytes {
		t.Errorf("metered %d bytes, received %d", got, bytes)
	}
}

func TestLiveFramesAreMeteredTogetherWithinAboutASecond(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	c := s.connect(t, valid(t, nil))
	c.subscribed("Auction/list")
	for before := range 2 { // also after the first time
		before := len(l.wait(t, 4+before))
		s.mutateAll(t, "a", "b", "c", "d", "e") // in one batch, so that no second ends in between
		for range 5 {
			c.wantBinary(`{"op":"patch"}`)
		}
		if got := l.wait(t, before+1)[before:]; len(got) != 1 || got[0] != "update_sent Auction/list 5" {
			t.Errorf("got %q, want one event of 5 messages", got)
		}
	}
}

func TestWhatIsAskedMeanwhileDoesNotPutMeteringOff(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	c := s.connect(t, valid(t, nil))
	c.subscribed("Auction/list")
	before := len(l.wait(t, 4))
	s.mutate(t, "a", `{"n":1}`)
	c.wantBinary(`{"op":"patch"}`)
	c.send(refresh(valid(t, nil))) // which sets the timer to the new expiry
	c.wantText(`{"success":true}`)
	if got := l.wait(t, before+1)[before]; got != "update_sent Auction/list 1" {
		t.Errorf("got %q", got)
	}
}

func TestSubscriptionsAreMeteredOnceEach(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, func(o *settings) {
		metered(t, l)(o)
		o.ReportUnknownViews = true
	})
	s.mutate(t, "a", `{"n":1}`)
	s.mutate(t, "b", `{"n":1}`)
	c := s.connect(t, valid(t, claims{"limits": map[string]any{"max_snapshot_rows": 1}}))
	c.send(
		`{"view":"Nope/list"}`, // never was one
		subscribeList,          // too many rows
		`{"view":"Auction/list","withSnapshot":false}`,           // is one
		`{"view":"Auction/list","withSnapshot":false}`,           // the same
		`{"view":"Auction/list","key":"a","withSnapshot":false}`, // another
		`{"type":"unsubscribe","view":"Auction/append"}`,         // never was one
		`{"type":"unsubscribe","view":"Auction/list"}`,
	)
	c.wantText(`{"code":"internal-error"}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantText(`{"code":"snapshot-limit-exceeded"}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantSilence()
	c.Cut()
	want := []string{
		"connection_established publishable true",
		"subscription_created Auction/list", "update_sent Auction/list 1", "subscription_removed Auction/list",
		"subscription_created Auction/list", "update_sent Auction/list 1",
		"subscription_created Auction/list", "update_sent Auction/list 1",
		"subscription_removed Auction/list",
		"subscription_removed Auction/list", "connection_closed 1 true",
	}
	if diff := cmp.Diff(want, l.wait(t, len(want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestR09AnExpiredSessionIsMeteredAsClosed(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	c := s.connect(t, valid(t, claims{"exp": soon(t)}))
	c.wantText(`{"code":"token-expired","fatal":true}`)
	want := []string{"connection_established publishable true", "connection_closed 0 true"}
	if diff := cmp.Diff(want, l.wait(t, 2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUsageGoesToThePresentPrincipal(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	c := s.connect(t, valid(t, nil))
	c.send(refresh(valid(t, claims{"metering_key": "m2"})))
	c.wantText(`{"success":true}`)
	c.Cut()
	l.wait(t, 2)
	keys := map[string]bool{}
	for _, id := range l.who() {
		keys[id.MeteringKey] = true
	}
	if diff := cmp.Diff(map[string]bool{"m": true, "m2": true}, keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestU07ARefusedHandshakeIsNotMetered(t *testing.T) {
	t.Parallel()
	l := &usageLog{}
	s := newStack(t, metered(t, l))
	s.wantRefusal(t, path, nil, refusal{401, "token-missing", false, false})
	s.connect(t, valid(t, nil)).Cut()
	if got := l.wait(t, 2)[0]; got != "connection_established publishable true" {
		t.Errorf("got %q first", got)
	}
}

// auditLog is where security events are written to.
type auditLog struct{ recorder }

// auditEvent has what the tests look at of all events of views 7.2.
type auditEvent struct {
	Event struct {
		Type      string `json:"event_type"`
		Success   bool
		ErrorCode string `json:"error_code"`
		LimitType string `json:"limit_type"`
		Current   int    `json:"current_count"`
		Limit     int
		Actual    string
	}
	ClientIP string `json:"client_ip"`
	Path     string
	Subject  string
}

func (l *auditLog) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, err
		}
		switch e.Event.Type {
		case "auth_attempt":
			l.note("%s %v %q subject %q from %s at %s", e.Event.Type, e.Event.Success, e.Event.ErrorCode, e.Subject, e.ClientIP, e.Path)
		case "rate_limit_exceeded":
			l.note("%s %s %d of %d subject %q", e.Event.Type, e.Event.LimitType, e.Event.Current, e.Event.Limit, e.Subject)
		default:
			l.note("%s %s", e.Event.Type, e.Event.Actual)
		}
	}
	return len(lines), nil
}

// open makes a log that writes to l.
func (l *auditLog) open(t *testing.T) *audit.Log {
	t.Helper()
	log, err := audit.New(audit.Options{Writer: l})
	if err != nil {
		t.Fatal(err)
	}
	run(t, log.Run)
	return log
}

// run runs f until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func TestU08EveryAttemptIsAudited(t *testing.T) {
	t.Parallel()
	l := &auditLog{}
	log := l.open(t)
	s := newStack(t, func(o *settings) {
		o.Audit = log
		o.Limits.MaxConnectionsPerIP = 1
		o.Limits.HandshakesPerIP = limit.Rate{Max: 2, Per: time.Minute}
		signedSessions(o)
	})
	s.wantRefusal(t, path, nil, refusal{401, "token-missing", false, false})
	s.wantRefusal(t, path, bearer("bad"), refusal{400, "token-invalid-format", true, false})
	c := s.connect(t, valid(t, nil))
	s.wantRefusal(t, path, bearer(valid(t, nil)), refusal{429, "connection-limit-exceeded", true, false})
	s.wantRefusal(t, path, bearer(valid(t, nil)), refusal{429, "rate-limit-exceeded", true, true})
	bound := bearer(valid(t, claims{"origin": "https://a.example"}))
	bound["Origin"] = []string{"https://b.example"}
	s.wantRefusal(t, path, bound, refusal{403, "origin-mismatch", false, false})
	c.send(refresh(sign(t, other, nil)))
	c.wantText(`{"success":false}`)
	const at = ` from 127.0.0.1 at ` + path
	want := []string{
		`auth_attempt false "token-missing" subject ""` + at,
		`auth_attempt false "token-invalid-format" subject ""` + at,
		`auth_attempt true "" subject "u"` + at,
		`auth_attempt true "" subject "u"` + at,
		`rate_limit_exceeded connections_per_ip 1 of 1 subject "u"`,
		`auth_attempt true "" subject "u"` + at,
		`rate_limit_exceeded handshakes_per_ip 2 of 2 subject "u"`,
		`auth_attempt false "origin-mismatch" subject ""` + at,
		`origin_validation_failed https://b.example`,
		`auth_attempt false "token-invalid-signature" subject "u" from 127.0.0.1 at `,
	}
	if diff := cmp.Diff(want, l.wait(t, len(want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
