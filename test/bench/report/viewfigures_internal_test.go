package report

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/engine"
	"github.com/millrace/millrace/test/bench/views"
)

// A bar is met on it and missed beyond it; what is unknown is not met.
func TestViewFiguresJudge(t *testing.T) {
	t.Parallel()
	speed := func(n int) []engine.Answer {
		return []engine.Answer{{Mutations: n, Wall: time.Second, CPU: time.Second}}
	}
	cost := func(cpu, wall int) []engine.Answer {
		return []engine.Answer{{Mutations: 1e6, CPU: time.Duration(cpu) * time.Second, Wall: time.Duration(wall) * time.Second}}
	}
	grown := func(cpu, wall int) Figure { return growthFigure(growth{few: cost(1, 1), many: cost(cpu, wall)}) }
	weigh := func(fresh, changed, one, two, moved int64) []Figure {
		a := func(bytes int64) engine.Answer { return engine.Answer{Entities: 10, Heap: 1000 + 10*bytes, JSON: 1000} }
		return entityFigures(growth{fresh: a(fresh), changed: a(changed), one: a(one), two: a(two), twoAndMoved: a(moved)})
	}
	sharing := func(change func(*views.Sharing)) *views.Sharing {
		s := &views.Sharing{
			Load:     &bench.Result{Opening: bench.Opening{Opened: 10}},
			Snapshot: 5000, SnapshotSent: 500,
			Outside: views.Changes{Count: 9},
			Inside:  views.Changes{Count: 2, Publications: 2, Encodings: 2, Deliveries: 20, Writes: 20, Frames: 20, Bytes: 2000},
		}
		change(s)
		return s
	}
	nothing := func(*views.Sharing) {}
	delivered := func(us float64) []*bench.Result {
		return []*bench.Result{{CPU: &bench.CPU{PerDelivery: us}, Latency: &bench.Latency{P99: 1}}}
	}
	late := func(change func(*views.Lag)) []Figure {
		run := func(us float64) []*bench.Result {
			return []*bench.Result{{Latency: &bench.Latency{P99: us}, Connections: 1}}
		}
		l := &views.Lag{
			Rows: 100, Quiet: run(100), Slow: run(125), Arrived: []int64{5}, Sent: []float64{99}, CatchUp: []time.Duration{1},
			Misses: []error{nil}, HeapBefore: 1e6, HeapDuring: 1e6 + 4<<20, RSSBefore: 1e6, RSSDuring: 1e6 + 4<<20,
		}
		change(l)
		return lagFigures(l)
	}
	tests := []struct {
		name   string
		figure Figure
		want   bool
	}{
		{"applied on the bar", appliedFigure(speed(200_000)), true},
		{"applied under the bar", appliedFigure(speed(199_999)), false},
		{"applied unknown", appliedFigure(nil), false},
		{"stored on the bar", storedFigure(speed(20_000), speed(1), "ext4"), true},
		{"stored under the bar", storedFigure(speed(19_999), speed(1e6), "ext4"), false},
		{"growth on the bar", grown(3, 3), true},
		{"growth of CPU over the bar", grown(4, 1), false},
		{"growth by the clock over the bar", grown(1, 4), false},
		{"growth unknown", growthFigure(growth{}), false},
		{"entities on the bar", weigh(200, 180, 0, 0, 0)[0], true},
		{"entities over the bar after changes", weigh(100, 201, 0, 0, 0)[0], false},
		{"entities unknown", entityFigures(growth{})[0], false},
		{"members on the bar", weigh(0, 100, 164, 228, 228)[1], true},
		{"the first view over the bar", weigh(0, 100, 165, 165, 165)[1], false},
		{"the second view over the bar", weigh(0, 100, 110, 175, 175)[1], false},
		{"views over the bar after changes", weigh(0, 100, 110, 120, 230)[1], false},
		{"nothing outside", outsideFigure(sharing(nothing)), true},
		{"a frame outside", outsideFigure(sharing(func(s *views.Sharing) { s.Outside.Frames = 1 })), false},
		{"a publication outside", outsideFigure(sharing(func(s *views.Sharing) { s.Outside.Publications = 1 })), false},
		{"outside unknown", outsideFigure(nil), false},
		{"one of each", sharingFigures(sharing(nothing), 10)[0], true},
		{"an encoding too many", sharingFigures(sharing(func(s *views.Sharing) { s.Inside.Encodings++ }), 10)[0], false},
		{"a write too many", sharingFigures(sharing(func(s *views.Sharing) { s.Inside.Writes++ }), 10)[0], false},
		{"a computation too many", sharingFigures(sharing(func(s *views.Sharing) { s.Inside.Publications++ }), 10)[0], false},
		{"a frame too few", sharingFigures(sharing(func(s *views.Sharing) { s.Inside.Frames-- }), 10)[0], false},
		{"bytes on the bar", sharingFigures(sharing(nothing), 10)[1], true},
		{"bytes over the bar", sharingFigures(sharing(func(s *views.Sharing) { s.Inside.Bytes += 20 }), 10)[1], false},
		{"bytes unknown", sharingFigures(nil, 10)[1], false},
		{"a delivery on the bar", deliveryFigure(delivered(1.3), delivered(1)), true},
		{"a delivery over the bar", deliveryFigure(delivered(1.31), delivered(1)), false},
		{"a delivery unknown", deliveryFigure([]*bench.Result{{Latency: new(bench.Latency)}}, delivered(1)), false},
		{"a slow reader within the limit", late(func(*views.Lag) {})[0], true},
		{"a slow reader beyond it", late(func(l *views.Lag) { l.HeapDuring++ })[0], false},
		{"a slow reader beyond it and noise", late(func(l *views.Lag) { l.RSSDuring += 2e6 + 1 })[0], false},
		{"a slow reader with the wrong state", late(func(l *views.Lag) { l.Misses[0] = errors.New("wrong") })[0], false},
		{"a slow reader that had all at once", late(func(l *views.Lag) { l.Sent[0] = 100 })[0], false},
		{"others as before", late(func(*views.Lag) {})[1], true},
		{"others later", late(func(l *views.Lag) { l.Slow[0].Latency.P99 = 126 })[1], false},
		{"others beside nothing", late(func(l *views.Lag) { l.Sent[0] = 0 })[1], false},
		{"lag unknown", lagFigures(&views.Lag{})[1], false},
	}
	for _, tt := range tests {
		if tt.figure.IsMet != tt.want || tt.figure.Measured == "" {
			t.Errorf("%s: met is %v, want %v: %+v", tt.name, tt.figure.IsMet, tt.want, tt.figure)
		}
	}
	if f := idleViewsFigure(&bench.Result{Memory: &bench.Memory{PerConnection: 2048}}, nil); f.Bar != "" || f.Measured != "2.00 KB" {
		t.Errorf("idle: %+v", f)
	}
}
