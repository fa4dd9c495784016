package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/bench"
)

// The promised numbers. What cannot be measured is not met.
const (
	barMemory      = 1.5 * 1024 // bytes per idle connection
	barCPU         = 1.25       // times the floor, per delivery
	barThroughput  = 8.0        // times the floor
	barLatency     = 1.1        // times the floor
	barPublish     = 1.35       // times the floor that checks the signature
	barOpening     = 8000.0     // per second
	barAllocations = 0.005      // per delivery: 0, to the accuracy of the measurement
	barLeak        = 16.0       // bytes per connection that came and went: less than the least one could leave

	// barGoroutines is how many more goroutines ten times the connections may have: those
	// that happen to be at work.
	barGoroutines = 8
)

// median of f over results; NaN if there is none.
func median(results []*bench.Result, f func(*bench.Result) float64) float64 {
	values := make([]float64, 0, len(results))
	for _, r := range results {
		values = append(values, f(r))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func memoryFigure(many, bare *bench.Result) Figure {
	f := Figure{
		What: fmt.Sprintf("resident memory per idle connection with one subscription, %d of them", many.Connections),
		Bar:  "at most 1.5 KB", Measured: "unknown",
	}
	if m := many.Memory; m != nil {
		f.Measured = fmt.Sprintf("%.2f KB", m.PerConnection/1024)
		f.IsMet = m.PerConnection <= barMemory
		f.Note = fmt.Sprintf("%.1f MB before, %.1f MB after", float64(m.Before)/1e6, float64(m.Settled)/1e6)
	}
	if bare.Memory != nil {
		f.Floor = fmt.Sprintf("%.2f KB", bare.Memory.PerConnection/1024)
	}
	return f
}

func goroutineFigure(few, many *bench.Result) Figure {
	f := Figure{What: "goroutines with idle connections", Bar: "independent of their number", Measured: "unknown"}
	if a, b := few.Runtime, many.Runtime; a != nil && b != nil && a.GoroutinesConnected > 0 && b.GoroutinesConnected > 0 {
		f.Measured = fmt.Sprintf("%.0f with %d, %.0f with %d",
			a.GoroutinesConnected, few.Opening.Opened, b.GoroutinesConnected, many.Opening.Opened)
		f.IsMet = math.Abs(b.GoroutinesConnected-a.GoroutinesConnected) <= barGoroutines
	}
	return f
}

// cpuPerDelivery is NaN where the process could not be seen.
func cpuPerDelivery(r *bench.Result) float64 {
	if r.CPU == nil {
		return math.NaN()
	}
	return r.CPU.PerDelivery
}

func cpuFigure(p pair) Figure {
	a, b := median(p.server, cpuPerDelivery), median(p.floor, cpuPerDelivery)
	return Figure{
		What: "server CPU per delivery, 2,000 subscribers, 128 bytes, 20 publishes/s", Bar: "at most 1.25 x the floor",
		Measured: fmt.Sprintf("%.2f us = %.2f x", a, a/b), Floor: fmt.Sprintf("%.2f us", b), IsMet: a/b <= barCPU,
	}
}

func throughputFigure(p pair) Figure {
	speed := func(r *bench.Result) float64 { return r.Delivery.PerSecond }
	a, b := median(p.server, speed), median(p.floor, speed)
	return Figure{
		What: "deliveries/s, 2,000 subscribers, 128 bytes, window 32", Bar: "at least 8 x the floor",
		Measured: fmt.Sprintf("%.2f M/s = %.1f x", a/1e6, a/b), Floor: fmt.Sprintf("%.2f M/s", b/1e6),
		IsMet: a/b >= barThroughput,
		Note: fmt.Sprintf("CPU per delivery %.2f us against %.2f us",
			median(p.server, cpuPerDelivery), median(p.floor, cpuPerDelivery)),
	}
}

// batchingFigure sets fan-out beside a floor that batches as a server on epoll does. The floor
// answers a publisher before it writes, but has at most one publication of each publishing
// connection to batch.
func batchingFigure(p pair) Figure {
	speed := func(r *bench.Result) float64 { return r.Delivery.PerSecond }
	a, b := median(p.server, speed), median(p.floor, speed)
	return Figure{
		What:     "deliveries/s, 2,000 subscribers, 128 bytes, 8 publishing connections, beside a floor that batches",
		Measured: fmt.Sprintf("%.2f M/s = %.1f x", a/1e6, a/b), Floor: fmt.Sprintf("%.2f M/s", b/1e6),
		Note: fmt.Sprintf("at most 32 publications outstanding; CPU per delivery %.2f us against %.2f us",
			median(p.server, cpuPerDelivery), median(p.floor, cpuPerDelivery)),
	}
}

// latencyFigure compares latency under load, and notes what it is where no delivery queues.
func latencyFigure(loaded, light pair, name string, f func(*bench.Latency) float64) Figure {
	latency := func(r *bench.Result) float64 { return f(r.Latency) / 1e3 }
	a, b := median(loaded.server, latency), median(loaded.floor, latency)
	c, d := median(light.server, latency), median(light.floor, latency)
	return Figure{
		What: name + " latency, 2,000 subscribers, 128 bytes, 60 publishes/s", Bar: "at most 1.1 x the floor",
		Measured: fmt.Sprintf("%.2f ms = %.2f x", a, a/b), Floor: fmt.Sprintf("%.2f ms", b), IsMet: a/b <= barLatency,
		Note: fmt.Sprintf("at 20 publishes/s it is %.2f ms against %.2f ms = %.2f x%s", c, d, c/d, saturation(loaded)),
	}
}

// saturated is the share of a processor from which on a single goroutine mostly queues.
const saturated = 75.0

// saturation warns when deliveries queue at the floor, whose latency then flatters the server.
func saturation(p pair) string {
	used := func(r *bench.Result) float64 {
		if r.CPU == nil {
			return math.NaN()
		}
		return r.CPU.ServerPercent
	}
	a, b := median(p.server, used), median(p.floor, used)
	if b < saturated {
		return ""
	}
	return fmt.Sprintf("; at 60 the floor, one goroutine, uses %.0f %% of a processor and queues, which flatters the ratio (millrace uses %.0f %%)", b, a)
}

// cpuPerPublish is NaN where the process could not be seen.
func cpuPerPublish(r *bench.Result) float64 {
	if r.CPU == nil {
		return math.NaN()
	}
	return r.CPU.PerPublish
}

func publishFigure(p pair) Figure {
	speed := func(r *bench.Result) float64 { return r.Publishing.PerSecond }
	a, b := median(p.server, cpuPerPublish), median(p.floor, cpuPerPublish)
	return Figure{
		What:     "server CPU per signed publish, 100 channels with one subscriber each",
		Bar:      "at most 1.35 x a floor that parses the request and checks the same signature",
		Measured: fmt.Sprintf("%.1f us = %.2f x", a, a/b), Floor: fmt.Sprintf("%.1f us", b), IsMet: a/b <= barPublish,
		Note: fmt.Sprintf("%.0f publishes/s against %.0f", median(p.server, speed), median(p.floor, speed)),
	}
}

func openingFigure(p pair) Figure {
	speed := func(r *bench.Result) float64 { return r.Opening.PerSecond }
	a := median(p.server, speed)
	return Figure{
		What: "connections opened per second (upgrade, established, subscribed)", Bar: "at least 8,000",
		Measured: fmt.Sprintf("%.0f", a), Floor: fmt.Sprintf("%.0f", median(p.floor, speed)), IsMet: a >= barOpening,
		Note: "the generator opens them on the same processors",
	}
}

// allocationFigure tells what a delivery allocates from what a publish allocates: the
// difference between many subscribers and few, per subscriber.
func allocationFigure(many []*bench.Result, few *bench.Result) Figure {
	perPublish := func(r *bench.Result) float64 {
		if r.Runtime == nil || r.Runtime.MallocsPerPublish == nil {
			return math.NaN()
		}
		return *r.Runtime.MallocsPerPublish
	}
	perDelivery := func(r *bench.Result) float64 {
		if r.Runtime == nil || r.Runtime.MallocsPerDelivery == nil {
			return math.NaN()
		}
		return *r.Runtime.MallocsPerDelivery
	}
	a, b := median(many, perPublish), perPublish(few)
	f := Figure{What: "allocations per delivery", Bar: "0", Measured: "unknown"}
	if math.IsNaN(a) || math.IsNaN(b) {
		return f
	}
	slope := (a - b) / float64(many[0].Connections-few.Connections)
	f.Measured = fmt.Sprintf("%.3f", max(slope, 0))
	f.IsMet = slope < barAllocations
	f.Note = fmt.Sprintf("from the whole server's allocations per publish with %d and with %d subscribers: %.1f and %.1f; all of them, publishing included, are %.4f per delivery",
		many[0].Connections, few.Connections, a, b, median(many, perDelivery))
	return f
}

func churnFigure(r *bench.Result) Figure {
	f := Figure{
		What: fmt.Sprintf("memory after %d rounds of %d connects and disconnects", len(r.Rounds), r.Connections),
		Bar:  "flat", Measured: "unknown",
	}
	if r.Memory == nil || len(r.Rounds) < 2 {
		return f
	}
	most := int64(0)
	for _, round := range r.Rounds {
		most = max(most, round.RSS)
	}
	first, last := r.Rounds[bench.Quarter(len(r.Rounds))].RSS, r.Rounds[len(r.Rounds)-1].RSS
	between := float64(r.Connections * (len(r.Rounds) - 1 - bench.Quarter(len(r.Rounds))))
	leak := float64(last-first) / between
	f.Measured = fmt.Sprintf("%+.1f bytes per connection: %.1f MB settled after a quarter of them, %.1f MB after the last", leak, float64(first)/1e6, float64(last)/1e6)
	f.IsMet = leak <= barLeak
	f.Note = fmt.Sprintf("%.1f MB before the first, at most %.1f MB right after a round; at most %.0f bytes per connection, less than the least that one could leave behind, count as flat",
		float64(r.Memory.Before)/1e6, float64(most)/1e6, barLeak)
	return f
}
