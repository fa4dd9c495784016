package report

import (
	"math"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/bench"
)

func TestMiddle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"one", []float64{3}, 3},
		{"an odd number, unsorted", []float64{9, 1, 5}, 5},
		{"an even number", []float64{4, 1, 2, 9}, 3},
	}
	for _, tt := range tests {
		if got := middle(tt.values); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := middle(nil); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func with2000(r bench.Result) *bench.Result {
	r.Connections = 2000
	return &r
}

// A bar is met on it and missed beyond it; what is unknown is not met.
func TestFiguresJudge(t *testing.T) {
	t.Parallel()
	cost := func(us float64) []*bench.Result {
		return []*bench.Result{{CPU: &bench.CPU{PerDelivery: us, PerPublish: us}}}
	}
	speed := func(n float64) []*bench.Result { return []*bench.Result{{Delivery: &bench.Delivery{PerSecond: n}}} }
	publish := func(us float64) []*bench.Result {
		return []*bench.Result{{CPU: &bench.CPU{PerPublish: us}, Publishing: &bench.Publishing{PerSecond: 1}}}
	}
	p50 := func(us float64) []*bench.Result { return []*bench.Result{{Latency: &bench.Latency{P50: us}}} }
	get50 := func(l *bench.Latency) float64 { return l.P50 }
	opening := func(n float64) []*bench.Result { return []*bench.Result{{Opening: bench.Opening{PerSecond: n}}} }
	idle := func(bytes float64, goroutines float64) *bench.Result {
		return &bench.Result{Memory: &bench.Memory{PerConnection: bytes}, Runtime: &bench.Runtime{GoroutinesConnected: goroutines}}
	}
	mallocs := func(connections int, n float64) *bench.Result {
		return &bench.Result{Connections: connections, Runtime: &bench.Runtime{MallocsPerPublish: &n, MallocsPerDelivery: &n}}
	}
	churn := func(sizes ...int64) *bench.Result {
		r := &bench.Result{Memory: &bench.Memory{}, Connections: 10_000}
		for _, n := range sizes {
			r.Rounds = append(r.Rounds, bench.Round{RSS: n * 1e6})
		}
		return r
	}
	tests := []struct {
		name   string
		figure Figure
		want   bool
	}{
		{"memory on the bar", memoryFigure(idle(1536, 0), idle(1, 0)), true},
		{"memory over the bar", memoryFigure(idle(1537, 0), idle(1, 0)), false},
		{"memory unknown", memoryFigure(&bench.Result{}, &bench.Result{}), false},
		{"goroutines the same", goroutineFigure(idle(0, 20), idle(0, 22)), true},
		{"goroutines that grow", goroutineFigure(idle(0, 1500), idle(0, 15000)), false},
		{"goroutines unknown", goroutineFigure(idle(0, -1), idle(0, -1)), false},
		{"cpu on the bar", cpuFigure(pair{cost(5), cost(4)}), true},
		{"cpu over the bar", cpuFigure(pair{cost(5.1), cost(4)}), false},
		{"cpu unknown", cpuFigure(pair{[]*bench.Result{{}}, []*bench.Result{{}}}), false},
		{"throughput on the bar", throughputFigure(pair{speed(8), speed(1)}), true},
		{"throughput under the bar", throughputFigure(pair{speed(7.9), speed(1)}), false},
		{"latency under the bar", latencyFigure(pair{p50(1.09), p50(1)}, pair{p50(1), p50(1)}, "p50", get50), true},
		{"latency over the bar", latencyFigure(pair{p50(1.2), p50(1)}, pair{p50(1), p50(1)}, "p50", get50), false},
		{"publish on the bar", publishFigure(pair{publish(27), publish(20)}), true},
		{"publish over the bar", publishFigure(pair{publish(28), publish(20)}), false},
		{"opening on the bar", openingFigure(pair{opening(8000), opening(1)}), true},
		{"opening under the bar", openingFigure(pair{opening(7999), opening(1)}), false},
		{"allocations by publish only", allocationFigure([]*bench.Result{mallocs(2000, 30)}, mallocs(200, 29)), true},
		{"an allocation in a hundred deliveries", allocationFigure([]*bench.Result{mallocs(2000, 48)}, mallocs(200, 30)), false},
		{"allocations unknown", allocationFigure([]*bench.Result{with2000(bench.Result{})}, &bench.Result{}), false},
		{"churn that swings and ends as it began", churnFigure(churn(30, 39, 41, 38, 40, 30)), true},
		{"churn that leaks", churnFigure(churn(30, 31, 32, 33, 34, 35)), false},
		{"churn of unknown size", churnFigure(&bench.Result{}), false},
	}
	for _, tt := range tests {
		if tt.figure.IsMet != tt.want {
			t.Errorf("%s: met is %v, want %v: %+v", tt.name, tt.figure.IsMet, tt.want, tt.figure)
		}
	}
}

func TestReportSaysWhatIsNotMet(t *testing.T) {
	t.Parallel()
	r := &Report{
		Machine: Machine{Processor: "a processor", Commit: "c0ffee"},
		Rows: []Figure{
			{What: "speed", Bar: "at least 8", Measured: "9", Floor: "1", IsMet: true, Note: "on a good day"},
			{What: "size", Bar: "at most 1", Measured: "2"},
		},
		Views: []Figure{
			{What: "frames", Bar: "0", Measured: "1", Floor: "elsewhere 2"},
			{What: "memory of a view", Measured: "1.7 KB", Note: "nobody promised it"},
		},
		Runs: []Run{{Name: "idle", Server: nameServer, Result: &bench.Result{}}},
	}
	var page strings.Builder
	if err := r.WriteMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| speed | at least 8 | 9 | 1 | met |", "| size | at most 1 | 2 | - | **not met** |", "c0ffee",
		"* speed: on a good day.", "## Live views", "| frames | 0 | 1 | elsewhere 2 | **not met** |",
		"| memory of a view | - | 1.7 KB | - | - |", "* memory of a view: nobody promised it.", "No delivery of any run was lost", "| idle | millrace | 0 |",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not say %q:\n%s", want, page.String())
		}
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "frames: 1, want 0") || strings.Contains(err.Error(), "memory of a view") {
		t.Errorf("not met: %v", err)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(table.String(), "NOT MET"); got != 2 {
		t.Errorf("%d bars are not met, want 2:\n%s", got, table.String())
	}
	r.Faults = []string{"window 32: floor: 3 deliveries were lost"}
	page.Reset()
	if err := r.WriteMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "No delivery of any run was lost") || !strings.Contains(page.String(), r.Faults[0]) {
		t.Errorf("the page hides a fault:\n%s", page.String())
	}
}

func TestLatencyAdmitsASaturatedFloor(t *testing.T) {
	t.Parallel()
	run := func(percent float64) []*bench.Result {
		return []*bench.Result{{Latency: &bench.Latency{P50: 1}, CPU: &bench.CPU{ServerPercent: percent}}}
	}
	get := func(l *bench.Latency) float64 { return l.P50 }
	light := pair{run(10), run(10)}
	if note := latencyFigure(pair{run(50), run(60)}, light, "p50", get).Note; strings.Contains(note, "flatters") {
		t.Errorf("a floor with time left is said to be saturated: %s", note)
	}
	if note := latencyFigure(pair{run(50), run(97)}, light, "p50", get).Note; !strings.Contains(note, "uses 97 %") {
		t.Errorf("a saturated floor is not named: %q", note)
	}
}
