package bench

import (
	"errors"
	"testing"
	"time"
)

// A bar is met on it and missed beyond it; what is unknown is not met.
func TestViewFiguresJudge(t *testing.T) {
	t.Parallel()
	speed := func(n int) []engineAnswer { return []engineAnswer{{Mutations: n, Wall: time.Second, CPU: time.Second}} }
	cost := func(cpu, wall int) []engineAnswer {
		return []engineAnswer{{Mutations: 1e6, CPU: time.Duration(cpu) * time.Second, Wall: time.Duration(wall) * time.Second}}
	}
	grown := func(cpu, wall int) Figure { return growthFigure(growth{few: cost(1, 1), many: cost(cpu, wall)}) }
	weigh := func(fresh, changed, one, two, moved int64) []Figure {
		a := func(bytes int64) engineAnswer { return engineAnswer{Entities: 10, Heap: 1000 + 10*bytes, JSON: 1000} }
		return entityFigures(growth{fresh: a(fresh), changed: a(changed), one: a(one), two: a(two), twoAndMoved: a(moved)})
	}
	sharing := func(change func(*Sharing)) *Result {
		s := &Sharing{
			Snapshot: 5000, SnapshotSent: 500,
			Outside: Changes{Count: 9},
			Inside:  Changes{Count: 2, Publications: 2, Encodings: 2, Deliveries: 20, Writes: 20, Frames: 20, Bytes: 2000},
		}
		change(s)
		return &Result{Connections: 10, Opening: Opening{Opened: 10}, Sharing: s}
	}
	nothing := func(*Sharing) {}
	delivered := func(us float64) []*Result {
		return []*Result{{CPU: &CPU{PerDelivery: us}, Latency: &Latency{P99: 1}}}
	}
	late := func(change func(*lag)) []Figure {
		run := func(us float64) []*Result { return []*Result{{Latency: &Latency{P99: us}, Connections: 1}} }
		l := &lag{
			rows: 100, quiet: run(100), slow: run(125), arrived: []int64{5}, sent: []float64{99}, catchUp: []time.Duration{1},
			misses: []error{nil}, heapBefore: 1e6, heapDuring: 1e6 + 4<<20, rssBefore: 1e6, rssDuring: 1e6 + 4<<20,
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
		{"a frame outside", outsideFigure(sharing(func(s *Sharing) { s.Outside.Frames = 1 })), false},
		{"a publication outside", outsideFigure(sharing(func(s *Sharing) { s.Outside.Publications = 1 })), false},
		{"outside unknown", outsideFigure(&Result{}), false},
		{"one of each", sharingFigures(sharing(nothing))[0], true},
		{"an encoding too many", sharingFigures(sharing(func(s *Sharing) { s.Inside.Encodings++ }))[0], false},
		{"a write too many", sharingFigures(sharing(func(s *Sharing) { s.Inside.Writes++ }))[0], false},
		{"a computation too many", sharingFigures(sharing(func(s *Sharing) { s.Inside.Publications++ }))[0], false},
		{"a frame too few", sharingFigures(sharing(func(s *Sharing) { s.Inside.Frames-- }))[0], false},
		{"bytes on the bar", sharingFigures(sharing(nothing))[1], true},
		{"bytes over the bar", sharingFigures(sharing(func(s *Sharing) { s.Inside.Bytes += 20 }))[1], false},
		{"bytes unknown", sharingFigures(&Result{})[1], false},
		{"a delivery on the bar", deliveryFigure(delivered(1.3), delivered(1)), true},
		{"a delivery over the bar", deliveryFigure(delivered(1.31), delivered(1)), false},
		{"a delivery unknown", deliveryFigure([]*Result{{Latency: new(Latency)}}, delivered(1)), false},
		{"a slow reader within the limit", late(func(*lag) {})[0], true},
		{"a slow reader beyond it", late(func(l *lag) { l.heapDuring++ })[0], false},
		{"a slow reader beyond it and noise", late(func(l *lag) { l.rssDuring += 2e6 + 1 })[0], false},
		{"a slow reader with the wrong state", late(func(l *lag) { l.misses[0] = errors.New("wrong") })[0], false},
		{"a slow reader that had all at once", late(func(l *lag) { l.sent[0] = 100 })[0], false},
		{"others as before", late(func(*lag) {})[1], true},
		{"others later", late(func(l *lag) { l.slow[0].Latency.P99 = 126 })[1], false},
		{"others beside nothing", late(func(l *lag) { l.sent[0] = 0 })[1], false},
		{"lag unknown", lagFigures(&lag{})[1], false},
	}
	for _, tt := range tests {
		if tt.figure.IsMet != tt.want || tt.figure.Measured == "" {
			t.Errorf("%s: met is %v, want %v: %+v", tt.name, tt.figure.IsMet, tt.want, tt.figure)
		}
	}
	if f := idleViewsFigure(&Result{Memory: &Memory{PerConnection: 2048}}, nil); f.Bar != "" || f.Measured != "2.00 KB" {
		t.Errorf("idle: %+v", f)
	}
}
