//go:build linux

package bench

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

// floorHere runs a floor within this process and returns its URL.
func floorHere(t *testing.T, o FloorOptions) string {
	t.Helper()
	at, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.release)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	o.Address = at.address
	go func() { ended <- RunFloor(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := awaitListener(t.Context(), at.address); err != nil {
		t.Fatal(err)
	}
	return "http://" + at.address
}

func floorOptions(url string) Options {
	return Options{
		URL: url, App: "app-id", Key: "app-key", Secret: "app-secret",
		Connections: 60, Channels: 6, Subscriptions: 2, Publishers: 3, Readers: 2,
		Warmup: 50 * time.Millisecond, Duration: 300 * time.Millisecond,
	}
}

// fanOutMeasured runs a fan-out, and again for longer while a busy machine let nothing happen within
// the time that counts.
func fanOutMeasured(t *testing.T, o Options) *Result {
	t.Helper()
	for {
		r, err := FanOut(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Delivery.Measured > 0 && r.CPU != nil && r.CPU.PerDelivery > 0 || o.Duration > 20*time.Second {
			return r
		}
		o.Duration *= 4
	}
}

func TestFanOutAgainstTheFloor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		rate   float64
		window int
		floor  FloorOptions
	}{
		{"at a rate", 200, 0, FloorOptions{}},
		{"in a window", 0, 8, FloorOptions{}},
		{"with signatures", 0, 8, FloorOptions{Secret: "app-secret"}},
		{"in batches", 0, 8, FloorOptions{Batches: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := floorOptions(floorHere(t, tt.floor))
			o.Rate, o.Window = tt.rate, tt.window
			r := fanOutMeasured(t, o)
			if err := r.Err(); err != nil {
				t.Errorf("%v %v", err, r.Complaints)
			}
			d, p := r.Delivery, r.Publishing
			if p.Measured == 0 || d.Measured == 0 || d.Expected == 0 || d.Received != d.Expected {
				t.Errorf("publishing %+v, delivery %+v", p, d)
			}
			if d.Expected != 20*p.Accepted { // 60 connections x 2 / 6 channels
				t.Errorf("%d deliveries expected of %d publications", d.Expected, p.Accepted)
			}
			if r.Latency.Count == 0 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P50 {
				t.Errorf("latency %+v", r.Latency)
			}
			if r.CPU == nil || r.CPU.PerDelivery <= 0 {
				t.Errorf("cpu %+v; unmeasured: %v", r.CPU, r.Unmeasured)
			}
			// A machine with other things to do holds up who publishes or who answers.
			if slack, isQuick := 10.0, max(p.Lag.Max, p.Answer.Max) < 10_000; isQuick && tt.rate > 0 && p.PerSecond < tt.rate-slack {
				t.Errorf("%v publishes/s, want %v", p.PerSecond, tt.rate)
			}
		})
	}
}

func TestTheSignedFloorRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	const body = `{"name":"e","channels":["c"],"data":"d"}`
	now := time.Unix(1_700_000_000, 0)
	r := auth.Request{Method: "POST", Path: "/apps/app-id/events", Body: []byte(body)}
	query := auth.SignRequest(r, nil, "app-key", "app-secret", now).Encode()
	tests := []struct {
		name        string
		query, body string
		at          time.Time
		want        bool
	}{
		{"as signed", query, body, now, true},
		{"another body", query, `{"name":"f"}`, now, false},
		{"another signature", strings.Replace(query, "auth_signature=", "auth_signature=0", 1), body, now, false},
		{"another parameter", query + "&info=x", body, now, false},
		{"too old", query, body, now.Add(auth.Window + time.Second), false},
		{"nothing signed", "", body, now, false},
	}
	v := newFloorVerifier("app-secret")
	for _, tt := range tests {
		got := v.accepts(floorRequest{path: []byte(r.Path), query: []byte(tt.query), body: []byte(tt.body)}, tt.at)
		if got != tt.want {
			t.Errorf("%s: accepted %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestIdleAndChurnAgainstTheFloor(t *testing.T) {
	t.Parallel()
	o := floorOptions(floorHere(t, FloorOptions{}))
	o.Settle = 10 * time.Millisecond
	idle, err := Idle(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Err(); err != nil || idle.Opening.Opened != 60 || idle.Memory == nil || idle.Memory.Settled == 0 {
		t.Errorf("%v: %+v", err, idle)
	}
	o.Rounds = 3
	churn, err := Churn(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := churn.Err(); err != nil || len(churn.Rounds) != 3 || churn.Rounds[2].RSS == 0 || churn.Rounds[2].Opening.Opened != 60 {
		t.Errorf("%v: %+v", err, churn)
	}
}

func TestFloorAsAProcess(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child, err := StartFloor(t.Context(), executable)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := child.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if pid, err := findServer(t.Context(), child.URL); pid != child.PID() || err != nil {
		t.Errorf("process %d found, want %d: %v", pid, child.PID(), err)
	}
	o := floorOptions(child.URL)
	o.Window = 4
	r := fanOutMeasured(t, o)
	if err := r.Err(); err != nil || r.CPU == nil || len(r.Unmeasured) != 0 {
		t.Errorf("%v: %+v", err, r)
	}
	var table strings.Builder
	if err := WriteTable(&table, []string{"a", "b"}, []*Result{r, r}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"deliveries/s", "latency p99, ms", "server CPU per delivery, us", "1.00"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}

func TestAChildThatEndsAtOnceIsNoServer(t *testing.T) {
	t.Parallel()
	_, err := startChild(t.Context(), "127.0.0.1:1", "", nil, "/bin/echo", "no such command")
	if err == nil || !strings.Contains(err.Error(), "its output: no such command") {
		t.Errorf("got %v", err)
	}
}
