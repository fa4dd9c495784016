package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
	"github.com/millrace/millrace/test/bench/storm"
	"github.com/millrace/millrace/test/bench/views"
)

// Options say how to make a report.
type Options struct {
	Millrace string // the server's binary
	Bench    string // the benchmark binary: floors, crowds and engines
	Commit   string // default: what was stamped into the running binary
	IsQuick  bool   // all of it, but little of it: a look at whether it works
	Attack   string // of hostile connections only those with this in their name
	Before   string // another binary of the server, of Pairs alone
	Contest  string // of Pairs only contests with this in their name
	Progress io.Writer
}

// Report is the numbers of Millrace beside the floor's, from one sitting.
type Report struct {
	Machine Machine  `json:"machine"`
	Started string   `json:"started"`
	Seconds float64  `json:"seconds"`
	IsQuick bool     `json:"quick"`
	Rows    []Figure `json:"rows"`
	Views   []Figure `json:"views"`  // of live views
	Guards  []Figure `json:"guards"` // of what protects the server and tells its operators
	Runs    []Run    `json:"runs"`
	Faults  []string `json:"faults,omitempty"` // loss, disorder, failed runs: nothing counts then
}

// Run is one run of a report.
type Run struct {
	Name   string        `json:"name"`
	Server string        `json:"server"` // millrace or floor; of views and channels, which of these
	Result *bench.Result `json:"result"`

	Storm   *storm.Storm   `json:"storm,omitempty"`
	Sharing *views.Sharing `json:"sharing,omitempty"`
}

// Figure is one number that was promised.
type Figure struct {
	What     string `json:"what"`
	Bar      string `json:"bar"` // empty: nothing was promised
	Measured string `json:"measured"`
	Floor    string `json:"floor"` // or what else it is compared with; empty: nothing
	IsMet    bool   `json:"met"`
	Note     string `json:"note,omitempty"`
}

// Names of servers in a report.
const (
	nameServer   = "millrace"
	nameFloor    = "floor"
	nameSigned   = "floor that checks signatures"
	nameBatching = "floor that batches"
)

// reporter makes one report.
type reporter struct {
	o      Options
	plan   plan
	report *Report
	idling *bench.Result // many idle channel connections; nil if they were not measured
}

// All measures every promised number against the floor. Servers and floors run as processes of
// their own; compared runs alternate, and the median counts.
func All(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.idle, r.compared, r.churn, r.guards, r.views)
}

// Views is the part of [All] about live views.
func Views(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.views)
}

// Guards is the part of [All] about users, limits, webhooks, attacks, storms and endings.
func Guards(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.guards)
}

// Storm is the part of [All] about connections that are cut all at once.
func Storm(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.storm)
}

// Ending is the part of [All] about servers that end under load.
func Ending(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.endings)
}

// Hostile is the part of [All] about hostile connections.
func Hostile(ctx context.Context, o Options) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.withstanding)
}

func newReporter(o Options) *reporter { return &reporter{o: o, plan: newPlan(o.IsQuick)} }

// make takes the steps one after the other. One that fails is a fault, and the others count: a report
// takes half an hour.
func (r *reporter) make(ctx context.Context, steps ...func(context.Context) error) (*Report, error) {
	begun := time.Now()
	r.report = &Report{
		Machine: thisMachine(r.o.Commit), Started: begun.UTC().Format("2006-01-02 15:04 MST"), IsQuick: r.o.IsQuick,
	}
	for _, step := range steps {
		err := step(ctx)
		if ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if err != nil {
			r.fault(err.Error())
		}
	}
	r.report.Seconds = time.Since(begun).Seconds()
	return r.report, nil
}

// Err says which bars were not met, and what was wrong.
func (r *Report) Err() error {
	var problems []error
	for _, f := range r.Faults {
		problems = append(problems, errors.New(f))
	}
	for _, row := range slices.Concat(r.Rows, r.Guards, r.Views) {
		if !row.IsMet && row.Bar != "" {
			problems = append(problems, fmt.Errorf("%s: %s, want %s", row.What, row.Measured, row.Bar))
		}
	}
	return errors.Join(problems...)
}

// scenario is one of the load generator's.
type scenario func(context.Context, bench.Options) (*bench.Result, error)

// run does one run on a child and keeps it.
func (r *reporter) run(ctx context.Context, name, server string, measure scenario, c *child.Child, o bench.Options) (*bench.Result, error) {
	result, err := measure(ctx, r.begin(name, server, c, o))
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, server, err)
	}
	r.keep(Run{Name: name, Server: server, Result: result}, result.Err())
	return result, nil
}

// begin says that a run begins, and directs its load to a child.
func (r *reporter) begin(name, server string, c *child.Child, o bench.Options) bench.Options {
	r.say("%s: %s", name, server)
	of := c.Options()
	o.URL, o.MetricsURL, o.ServerPID, o.App, o.Key, o.Secret = of.URL, of.MetricsURL, of.ServerPID, of.App, of.Key, of.Secret
	o.Progress = r.o.Progress
	return o
}

// keep adds a run to the report, and a fault if it was not clean.
func (r *reporter) keep(run Run, err error) {
	if err != nil {
		r.fault(fmt.Sprintf("%s: %s: %v %v", run.Name, run.Server, err, run.Result.Complaints))
	}
	r.report.Runs = append(r.report.Runs, run)
}

func (r *reporter) fault(text string) { r.report.Faults = append(r.report.Faults, text) }

// say writes a line of progress.
func (r *reporter) say(format string, args ...any) {
	if r.o.Progress != nil {
		fmt.Fprintf(r.o.Progress, format+"\n", args...)
	}
}

// onServer runs f with a fresh server with these settings.
func (r *reporter) onServer(ctx context.Context, f func(*child.Child) error, settings ...string) error {
	c, err := child.StartServer(ctx, r.o.Millrace, settings...)
	return child.With(c, err, f)
}

// onFloor runs f with a fresh floor.
func (r *reporter) onFloor(ctx context.Context, f func(*child.Child) error, flags ...string) error {
	c, err := child.StartFloor(ctx, r.o.Bench, flags...)
	return child.With(c, err, f)
}

// idle measures memory and goroutines of connections with nothing to do.
func (r *reporter) idle(ctx context.Context) error {
	var few, many, bare *bench.Result
	run := func(into **bench.Result, server string, connections int) func(*child.Child) error {
		return func(c *child.Child) (err error) {
			*into, err = r.run(ctx, fmt.Sprintf("idle, %d connections", connections), server, bench.Idle, c,
				bench.Options{Connections: connections, Channels: 100, Settle: r.plan.settle, SettleMost: r.plan.settleMost})
			return err
		}
	}
	if err := errors.Join(
		r.onServer(ctx, run(&few, nameServer, r.plan.idleFew)),
		r.onServer(ctx, run(&many, nameServer, r.plan.idle)),
		r.onFloor(ctx, run(&bare, nameFloor, r.plan.idle)),
	); err != nil {
		return err
	}
	r.idling = many
	r.report.Rows = append(r.report.Rows, memoryFigure(many, bare), goroutineFigure(few, many))
	return nil
}

// pair is what one comparison measured.
type pair struct{ server, floor []*bench.Result }

// contender is a floor that the server is compared with.
type contender struct {
	name string
	*child.Child
}

// alternate runs a scenario against both, in turns.
func (r *reporter) alternate(ctx context.Context, name string, measure scenario, server *child.Child, bare contender, o bench.Options) (p pair, err error) {
	for range r.plan.rounds {
		a, err := r.run(ctx, name, nameServer, measure, server, o)
		if err != nil {
			return p, err
		}
		b, err := r.run(ctx, name, bare.name, measure, bare.Child, o)
		if err != nil {
			return p, err
		}
		p.server, p.floor = append(p.server, a), append(p.floor, b)
	}
	return p, nil
}

// floors are what the server is compared with.
type floors struct{ bare, signed, batching contender }

// compared measures everything that is a ratio to a floor, or stands beside it.
func (r *reporter) compared(ctx context.Context) error {
	return r.onServer(ctx, func(server *child.Child) error {
		return r.onFloor(ctx, func(bare *child.Child) error {
			return r.onFloor(ctx, func(signed *child.Child) error {
				return r.onFloor(ctx, func(batching *child.Child) error {
					return r.comparisons(ctx, server,
						floors{contender{nameFloor, bare}, contender{nameSigned, signed}, contender{nameBatching, batching}})
				}, "--batches")
			}, "--secret", child.Secret)
		})
	})
}

func (r *reporter) comparisons(ctx context.Context, server *child.Child, f floors) error {
	p := r.plan
	base := bench.Options{Connections: p.subscribers, Channels: 1, Payload: 128, Warmup: p.warmup, Duration: p.duration}
	with := func(change func(*bench.Options)) bench.Options {
		o := base
		change(&o)
		return o
	}
	var problems []error
	alternate := func(name string, measure scenario, bare contender, o bench.Options) pair {
		if len(problems) > 0 {
			return pair{}
		}
		result, err := r.alternate(ctx, name, measure, server, bare, o)
		if err != nil {
			problems = append(problems, err)
		}
		return result
	}
	eight := with(func(o *bench.Options) { o.Window, o.Publishers = 32, 8 })
	at20 := alternate("20 publishes/s", bench.FanOut, f.bare, with(func(o *bench.Options) { o.Rate = 20 }))
	window := alternate("window 32", bench.FanOut, f.bare, eight)
	batched := alternate("window 32, 8 publishing connections", bench.FanOut, f.batching, eight)
	at60 := alternate("60 publishes/s", bench.FanOut, f.bare, with(func(o *bench.Options) { o.Rate = 60 }))
	publish := alternate("100 channels with one subscriber each, window 32", bench.FanOut, f.signed,
		with(func(o *bench.Options) { o.Connections, o.Channels, o.Window, o.Publishers = 100, 100, 32, 8 }))
	opening := alternate("opening", bench.Churn, f.bare, bench.Options{Connections: p.opening, Channels: 100, Rounds: 1})
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	fewer, err := r.run(ctx, "window 32, a tenth of the subscribers", nameServer, bench.FanOut, server,
		with(func(o *bench.Options) { o.Window, o.Publishers, o.Connections = 32, 8, p.subscribers/10 }))
	if err != nil {
		return err
	}
	r.report.Rows = append(r.report.Rows,
		cpuFigure(at20), throughputFigure(window), batchingFigure(batched),
		latencyFigure(at60, at20, "p50", func(l *bench.Latency) float64 { return l.P50 }),
		latencyFigure(at60, at20, "p99", func(l *bench.Latency) float64 { return l.P99 }),
		publishFigure(publish), openingFigure(opening), allocationFigure(window.server, fewer))
	return nil
}

// churn measures what connections leave behind.
func (r *reporter) churn(ctx context.Context) error {
	return r.onServer(ctx, func(c *child.Child) error {
		result, err := r.run(ctx, "churn", nameServer, bench.Churn, c,
			bench.Options{Connections: r.plan.churned, Channels: 100, Rounds: r.plan.churn, Settle: r.plan.churnSettle})
		if err == nil {
			r.report.Rows = append(r.report.Rows, churnFigure(result))
		}
		return err
	})
}
