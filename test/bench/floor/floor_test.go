//go:build linux

package floor_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/probe"
	"github.com/millrace/millrace/test/bench/child"
	"github.com/millrace/millrace/test/bench/floor"
)

// TestMain lets the test binary be the floor, "floor --listen ADDRESS", as the benchmark binary would.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "floor" {
		if err := floor.Run(context.Background(), floor.Options{Address: os.Args[3]}); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// floorHere runs a floor within this process and returns its URL.
func floorHere(t *testing.T, o floor.Options) string {
	t.Helper()
	at, err := child.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Release)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	o.Address = at.Address
	go func() { ended <- floor.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := child.AwaitListener(t.Context(), at.Address); err != nil {
		t.Fatal(err)
	}
	return "http://" + at.Address
}

func loadOptions(url string) bench.Options {
	return bench.Options{
		URL: url, App: "app-id", Key: "app-key", Secret: "app-secret",
		Connections: 60, Channels: 6, Subscriptions: 2, Publishers: 3, Readers: 2,
		Warmup: 50 * time.Millisecond, Duration: 300 * time.Millisecond,
	}
}

// fanOutMeasured runs a fan-out, and again for longer while a busy machine let nothing happen within
// the time that counts.
func fanOutMeasured(t *testing.T, o bench.Options) *bench.Result {
	t.Helper()
	for {
		r, err := bench.FanOut(t.Context(), o)
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
		floor  floor.Options
	}{
		{"at a rate", 200, 0, floor.Options{}},
		{"in a window", 0, 8, floor.Options{}},
		{"with signatures", 0, 8, floor.Options{Secret: "app-secret"}},
		{"in batches", 0, 8, floor.Options{Batches: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := loadOptions(floorHere(t, tt.floor))
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

func TestIdleAndChurnAgainstTheFloor(t *testing.T) {
	t.Parallel()
	o := loadOptions(floorHere(t, floor.Options{}))
	o.Settle = 10 * time.Millisecond
	idle, err := bench.Idle(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Err(); err != nil || idle.Opening.Opened != 60 || idle.Memory == nil || idle.Memory.Settled == 0 {
		t.Errorf("%v: %+v", err, idle)
	}
	o.Rounds = 3
	churn, err := bench.Churn(t.Context(), o)
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
	c, err := child.StartFloor(t.Context(), executable)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	server, missing := probe.Find(t.Context(), probe.Where{URL: c.URL})
	defer server.Close()
	if server.PID() != c.PID() || len(missing) > 0 {
		t.Errorf("process %d found, want %d: %v", server.PID(), c.PID(), missing)
	}
	o := loadOptions(c.URL)
	o.Window = 4
	r := fanOutMeasured(t, o)
	if err := r.Err(); err != nil || r.CPU == nil || len(r.Unmeasured) != 0 {
		t.Errorf("%v: %+v", err, r)
	}
	var table strings.Builder
	if err := bench.WriteTable(&table, "floor", r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"deliveries/s", "latency p99, ms", "server CPU per delivery, us"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}
