package report

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
)

// Bars of a comparison with another binary, as the median of its pairs.
const (
	barMore = 1.03 // times as much of what should be little
	barLess = 0.97 // times as much of what should be much
)

// Pairs compares the server with another binary of it, Options.Before, in pairs of runs, of which
// each binary is first in turn. It shows what a change costs, at whatever speed the machine runs.
func Pairs(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.pairs)
}

// number is what two binaries are compared by.
type number struct {
	name      string
	unit      string
	isMuch    bool // more of it is better
	of        func(*bench.Result) float64
	precision int // digits that are printed
}

// contest is a scenario that both binaries run.
type contest struct {
	name    string
	measure scenario
	load    bench.Options
	isFresh bool // each run has a server of its own
	numbers []number
}

func (r *reporter) contests() []contest {
	p := r.plan.pairs
	load := bench.Options{Connections: p.subscribers, Channels: 1, Payload: 128, Warmup: p.warmup, Duration: p.duration}
	steady, window, single := load, load, load
	steady.Rate = 20
	window.Window, window.Publishers = 32, 8
	single.Connections, single.Channels, single.Window, single.Publishers = 100, 100, 32, 8
	views, mutations := steady, single
	views.Views, mutations.Views = true, true
	perDelivery := number{name: "CPU per delivery", unit: "us", of: cpuPerDelivery, precision: 2}
	latency := number{name: "p99 latency", unit: "ms", of: func(r *bench.Result) float64 { return r.Latency.P99 / 1e3 }, precision: 2}
	deliveries := number{name: "deliveries/s", isMuch: true, of: func(r *bench.Result) float64 { return r.Delivery.PerSecond }}
	publishes := number{name: "publishes/s", isMuch: true, of: func(r *bench.Result) float64 { return r.Publishing.PerSecond }}
	perPublish := number{name: "CPU per publish", unit: "us", of: cpuPerPublish, precision: 1}
	opened := number{name: "connections opened per second", isMuch: true, of: func(r *bench.Result) float64 { return r.Opening.PerSecond }}
	memory := number{name: "memory per connection", unit: "bytes", of: memoryPerConnection}
	idle := bench.Options{Connections: p.idle, Channels: 100, Settle: r.plan.settle, SettleMost: r.plan.settleMost}
	idleViews := idle
	idleViews.Views = true
	return []contest{
		{name: "channels, 20 publishes/s", measure: bench.FanOut, load: steady, numbers: []number{perDelivery, latency}},
		{name: "channels, window 32", measure: bench.FanOut, load: window, numbers: []number{deliveries, perDelivery}},
		{name: "channels, signed publishes", measure: bench.FanOut, load: single, numbers: []number{perPublish, publishes}},
		{name: "views, 20 mutations/s", measure: bench.FanOut, load: views, numbers: []number{perDelivery, latency}},
		{name: "views, signed mutations", measure: bench.FanOut, load: mutations, numbers: []number{perPublish, publishes}},
		{
			name: "opening", measure: bench.Churn, load: bench.Options{Connections: p.opening, Channels: 100, Rounds: 1},
			numbers: []number{opened},
		},
		{name: "idle on channels", measure: bench.Idle, load: idle, isFresh: true, numbers: []number{memory}},
		{name: "idle on views", measure: bench.Idle, load: idleViews, isFresh: true, numbers: []number{memory}},
	}
}

func memoryPerConnection(r *bench.Result) float64 {
	if r.Memory == nil {
		return math.NaN()
	}
	return r.Memory.PerConnection
}

// duel is what both binaries measured in one contest.
type duel struct{ now, before []*bench.Result }

func (r *reporter) pairs(ctx context.Context) error {
	for _, c := range r.contests() {
		if !strings.Contains(c.name, r.o.Contest) {
			continue
		}
		d, err := r.duel(ctx, c)
		if err != nil {
			return err
		}
		for _, n := range c.numbers {
			r.addGuards(pairFigure(c.name, n, d))
		}
	}
	return nil
}

// duel runs one contest, in the order of ABBA.
func (r *reporter) duel(ctx context.Context, c contest) (d duel, err error) {
	rounds := r.plan.pairs.rounds
	if c.isFresh {
		rounds = r.plan.pairs.fresh
	}
	run := func(now, before entrant) error {
		for i := range 2 * rounds {
			e, into := now, &d.now
			if i%4 == 1 || i%4 == 2 {
				e, into = before, &d.before
			}
			err := e.serve(func(s *child.Child) error {
				result, err := r.run(ctx, c.name, e.name, c.measure, s, c.load)
				if err == nil {
					*into = append(*into, result)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	now, before := r.entrant(ctx, nameServer, r.o.Millrace), r.entrant(ctx, nameBefore, r.o.Before)
	if c.isFresh {
		return d, run(now, before)
	}
	return d, now.serve(func(a *child.Child) error {
		return before.serve(func(b *child.Child) error { return run(now.on(a), before.on(b)) })
	})
}

// nameBefore is the other binary in a report.
const nameBefore = "before"

// entrant is one of the two binaries.
type entrant struct {
	name  string
	serve func(func(*child.Child) error) error // calls with a server of the binary
}

// entrant starts a fresh server for every call, without the limits of an address.
func (r *reporter) entrant(ctx context.Context, name, binary string) entrant {
	return entrant{name, func(f func(*child.Child) error) error {
		c, err := child.StartServer(ctx, binary, unlimitedViews()...)
		return child.With(c, err, f)
	}}
}

// on is e with a server that runs.
func (e entrant) on(c *child.Child) entrant {
	return entrant{e.name, func(f func(*child.Child) error) error { return f(c) }}
}

// pairFigure compares by one number: the median of the ratios of pairs counts.
func pairFigure(contest string, n number, d duel) Figure {
	ratios := make([]float64, 0, len(d.now))
	for i := range min(len(d.now), len(d.before)) {
		ratios = append(ratios, n.of(d.now[i])/n.of(d.before[i]))
	}
	f := Figure{What: contest + ": " + n.name, Bar: fmt.Sprintf("at most %.2f x", barMore), Measured: "unknown"}
	if n.isMuch {
		f.Bar = fmt.Sprintf("at least %.2f x", barLess)
	}
	ratio := middle(ratios)
	if math.IsNaN(ratio) {
		return f
	}
	text := func(results []*bench.Result) string {
		s := fmt.Sprintf("%.*f", n.precision, median(results, n.of))
		if n.unit != "" {
			s += " " + n.unit
		}
		return s
	}
	f.IsMet = ratio <= barMore
	if n.isMuch {
		f.IsMet = ratio >= barLess
	}
	f.Measured, f.Floor = fmt.Sprintf("%.3f x (%s)", ratio, text(d.now)), text(d.before)
	f.Note = fmt.Sprintf("%d pairs, from %.3f to %.3f x", len(ratios), slices.Min(ratios), slices.Max(ratios))
	return f
}
