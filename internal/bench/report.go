package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// ReportOptions say how to make a report.
type ReportOptions struct {
	Executable string // with the commands serve and floor
	Commit     string // default: what was stamped into the running binary
	IsQuick    bool   // a tenth of the time, for a look; its numbers wobble
	Attack     string // of hostile connections only those with this in their name
	Progress   io.Writer
}

// Report is the numbers of Millrace beside those of the floor, from one sitting.
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
	Name   string  `json:"name"`
	Server string  `json:"server"` // millrace or floor; of views and channels, which of these
	Result *Result `json:"result"`
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

// plan is how much a report does.
type plan struct {
	idle, idleFew  int // connections
	settle         time.Duration
	opening        int // connections
	subscribers    int
	rounds         int // of every comparison
	warmup         time.Duration
	duration       time.Duration
	churn, churned int // rounds, connections
	storm          StormOptions
	views          viewPlan
	guards         guardPlan
}

func newPlan(isQuick bool) plan {
	if isQuick {
		return plan{
			idle: 5_000, idleFew: 500, settle: 3 * time.Second, opening: 5_000, subscribers: 2_000,
			rounds: 1, warmup: time.Second, duration: 3 * time.Second, churn: 8, churned: 2_000,
			storm: StormOptions{Members: 2_000, PerChannel: 100, Public: 1_000, SignIn: true, Quiet: 2 * time.Second, Rounds: 1},
			views: newViewPlan(isQuick), guards: newGuardPlan(isQuick),
		}
	}
	return plan{
		idle: 15_000, idleFew: 1_500, settle: 10 * time.Second, opening: 10_000, subscribers: 2_000,
		rounds: 3, warmup: 2 * time.Second, duration: 8 * time.Second, churn: 20, churned: 10_000,
		storm: StormOptions{Members: 10_000, PerChannel: 100, Public: 5_000, SignIn: true, Quiet: 3 * time.Second, Rounds: 5},
		views: newViewPlan(isQuick), guards: newGuardPlan(isQuick),
	}
}

// reporter makes one report.
type reporter struct {
	o      ReportOptions
	plan   plan
	report *Report
	idling *Result // many idle channel connections; nil if they were not measured
}

// MakeReport measures every promised number against the floor. Servers and floors run as
// processes of their own; compared runs alternate, and the median counts.
func MakeReport(ctx context.Context, o ReportOptions) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.idle, r.compared, r.churn, r.guards, r.views)
}

// MakeViewReport is the part of MakeReport about live views.
func MakeViewReport(ctx context.Context, o ReportOptions) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.views)
}

// MakeGuardReport is the part of MakeReport about users, limits, webhooks and storms.
func MakeGuardReport(ctx context.Context, o ReportOptions) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.guards)
}

func newReporter(o ReportOptions) *reporter { return &reporter{o: o, plan: newPlan(o.IsQuick)} }

func (r *reporter) make(ctx context.Context, steps ...func(context.Context) error) (*Report, error) {
	begun := time.Now()
	r.report = &Report{
		Machine: thisMachine(r.o.Commit), Started: begun.UTC().Format("2006-01-02 15:04 MST"), IsQuick: r.o.IsQuick,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
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

// run does one run and keeps it.
func (r *reporter) run(ctx context.Context, name, server string, scenario func(context.Context, Options) (*Result, error), c *Child, o Options) (*Result, error) {
	if r.o.Progress != nil {
		fmt.Fprintf(r.o.Progress, "%s: %s\n", name, server)
	}
	o.URL, o.MetricsURL, o.ServerPID = c.URL, c.MetricsURL, c.PID()
	o.App, o.Key, o.Secret = DevelopmentApp, DevelopmentKey, DevelopmentSecret
	o.Progress = r.o.Progress
	result, err := scenario(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, server, err)
	}
	if err := result.Err(); err != nil {
		r.report.Faults = append(r.report.Faults, fmt.Sprintf("%s: %s: %v %v", name, server, err, result.Complaints))
	}
	r.report.Runs = append(r.report.Runs, Run{name, server, result})
	return result, nil
}

// with runs f with a fresh process.
func with(ctx context.Context, start func(context.Context, string) (*Child, error), executable string, f func(*Child) error) error {
	c, err := start(ctx, executable)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Stop())
}

// idle measures memory and goroutines of connections with nothing to do.
func (r *reporter) idle(ctx context.Context) error {
	var few, many, bare *Result
	run := func(into **Result, server string, connections int) func(*Child) error {
		return func(c *Child) (err error) {
			*into, err = r.run(ctx, fmt.Sprintf("idle, %d connections", connections), server, Idle, c,
				Options{Connections: connections, Channels: 100, Settle: r.plan.settle})
			return err
		}
	}
	if err := errors.Join(
		with(ctx, StartServer, r.o.Executable, run(&few, nameServer, r.plan.idleFew)),
		with(ctx, StartServer, r.o.Executable, run(&many, nameServer, r.plan.idle)),
		with(ctx, StartFloor, r.o.Executable, run(&bare, nameFloor, r.plan.idle)),
	); err != nil {
		return err
	}
	r.idling = many
	r.report.Rows = append(r.report.Rows, memoryFigure(many, bare), goroutineFigure(few, many))
	return nil
}

// pair is what one comparison measured.
type pair struct{ server, floor []*Result }

// contender is a floor that the server is compared with.
type contender struct {
	name string
	*Child
}

// alternate runs a scenario against both, in turns.
func (r *reporter) alternate(ctx context.Context, name string, scenario func(context.Context, Options) (*Result, error), server *Child, bare contender, o Options) (p pair, err error) {
	for range r.plan.rounds {
		a, err := r.run(ctx, name, nameServer, scenario, server, o)
		if err != nil {
			return p, err
		}
		b, err := r.run(ctx, name, bare.name, scenario, bare.Child, o)
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
	return with(ctx, StartServer, r.o.Executable, func(server *Child) error {
		return with(ctx, StartFloor, r.o.Executable, func(bare *Child) error {
			return with(ctx, startSignedFloor, r.o.Executable, func(signed *Child) error {
				return with(ctx, startBatchingFloor, r.o.Executable, func(batching *Child) error {
					return r.comparisons(ctx, server,
						floors{contender{nameFloor, bare}, contender{nameSigned, signed}, contender{nameBatching, batching}})
				})
			})
		})
	})
}

func (r *reporter) comparisons(ctx context.Context, server *Child, f floors) error {
	p := r.plan
	base := Options{Connections: p.subscribers, Channels: 1, Payload: 128, Warmup: p.warmup, Duration: p.duration}
	with := func(change func(*Options)) Options {
		o := base
		change(&o)
		return o
	}
	var problems []error
	alternate := func(name string, scenario func(context.Context, Options) (*Result, error), bare contender, o Options) pair {
		if len(problems) > 0 {
			return pair{}
		}
		result, err := r.alternate(ctx, name, scenario, server, bare, o)
		if err != nil {
			problems = append(problems, err)
		}
		return result
	}
	eight := with(func(o *Options) { o.Window, o.Publishers = 32, 8 })
	at20 := alternate("20 publishes/s", FanOut, f.bare, with(func(o *Options) { o.Rate = 20 }))
	window := alternate("window 32", FanOut, f.bare, eight)
	batched := alternate("window 32, 8 publishing connections", FanOut, f.batching, eight)
	at60 := alternate("60 publishes/s", FanOut, f.bare, with(func(o *Options) { o.Rate = 60 }))
	publish := alternate("100 channels with one subscriber each, window 32", FanOut, f.signed,
		with(func(o *Options) { o.Connections, o.Channels, o.Window, o.Publishers = 100, 100, 32, 8 }))
	opening := alternate("opening", Churn, f.bare, Options{Connections: p.opening, Channels: 100, Rounds: 1})
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	fewer, err := r.run(ctx, "window 32, a tenth of the subscribers", nameServer, FanOut, server,
		with(func(o *Options) { o.Window, o.Publishers, o.Connections = 32, 8, p.subscribers/10 }))
	if err != nil {
		return err
	}
	r.report.Rows = append(r.report.Rows,
		cpuFigure(at20), throughputFigure(window), batchingFigure(batched),
		latencyFigure(at60, at20, "p50", func(l *Latency) float64 { return l.P50 }),
		latencyFigure(at60, at20, "p99", func(l *Latency) float64 { return l.P99 }),
		publishFigure(publish), openingFigure(opening), allocationFigure(window.server, fewer))
	return nil
}

// churn measures what connections leave behind.
func (r *reporter) churn(ctx context.Context) error {
	return with(ctx, StartServer, r.o.Executable, func(c *Child) error {
		result, err := r.run(ctx, "churn", nameServer, Churn, c,
			Options{Connections: r.plan.churned, Channels: 100, Rounds: r.plan.churn})
		if err == nil {
			r.report.Rows = append(r.report.Rows, churnFigure(result))
		}
		return err
	})
}
