package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/store/embedded"
)

// BenchCmd measures a server, or writes the report of all promised numbers.
type BenchCmd struct {
	Load     benchLoad         `cmd:"" default:"withargs" help:"Put load on a server and measure what it costs (the default)."`
	Report   benchReport       `cmd:"" help:"Measure every promised number beside the floor and write the page about them."`
	Views    benchViews        `cmd:"" help:"Measure the promised numbers of live views alone, and print them."`
	Guards   benchGuards       `cmd:"" help:"Measure the promised numbers of users, limits, webhooks and storms alone, and print them."`
	Storm    benchStorm        `cmd:"" help:"Measure what others notice when many connections are cut at once, and print it."`
	Ending   benchEnding       `cmd:"" help:"End servers by SIGTERM while publishers publish as fast as they can, and print what was lost."`
	Hostile  benchHostile      `cmd:"" help:"Measure what hostile connections make the server hold, and print it."`
	Crowd    CrowdCmd          `cmd:"" hidden:"" help:"Be a crowd of connections, to be killed."`
	Floor    FloorCmd          `cmd:"" hidden:"" help:"Be the floor: a bare loop with one write per delivery."`
	Engine   EngineCmd         `cmd:"" hidden:"" help:"Be an engine of live views that does what standard input says."`
	Webhooks webhooksEngineCmd `cmd:"" hidden:"" help:"Be a webhook engine that is told of events."`
}

// benchLoad is one run.
type benchLoad struct {
	URL    string `help:"Server." default:"http://127.0.0.1:6001"`
	App    string `help:"App id." default:"app-id"`
	Key    string `help:"App key." default:"app-key"`
	Secret string `help:"App secret." default:"app-secret"`

	Connections   int           `help:"Connections." short:"n" default:"1000"`
	Channels      int           `help:"Channels; connection i subscribes from channel i mod CHANNELS on." short:"m" default:"1"`
	Subscriptions int           `help:"Subscriptions of each connection." default:"1"`
	Prefix        string        `help:"Of channel names; channels that begin with private- are signed." default:"bench-"`
	Views         bool          `help:"Live views: channels are entity types, connections subscribe to their lists, publications are mutations."`
	Rate          float64       `help:"Publishes per second; latency counts from when each was due." short:"r" xor:"load"`
	Window        int           `help:"Publishes outstanding, each until its last subscriber has it." short:"w" xor:"load"`
	Payload       int           `help:"Bytes of event data." default:"128"`
	Publishers    int           `help:"HTTP connections that publish." default:"4"`
	Warmup        time.Duration `help:"Before the measurement." default:"2s"`
	Duration      time.Duration `help:"Of the measurement." short:"d" default:"10s"`
	Settle        time.Duration `help:"Before memory is measured, and after a round of churn."`

	Idle  bool `help:"Publish nothing: measure what idle connections cost." xor:"scenario"`
	Churn int  `help:"Publish nothing: connect and disconnect everything this often." placeholder:"ROUNDS" xor:"scenario"`
	Floor bool `help:"Measure the floor as well: a bare loop with one write per delivery."`

	ConnectConcurrency int    `help:"Connections being opened at a time." default:"64"`
	Readers            int    `help:"Pollers that read deliveries; 0 for one per two processors."`
	ServerPID          int    `name:"server-pid" help:"Process of the server; by default who listens on the port, if local."`
	MetricsURL         string `name:"metrics-url" help:"Metrics page of the server." default:"http://127.0.0.1:9601/metrics"`

	JSON  bool `name:"json" help:"Print the whole result as JSON."`
	Quiet bool `help:"No progress lines." short:"q"`
}

// Run measures and prints. Loss, disorder and refusals are a failure; slowness is none.
func (c *benchLoad) Run(ctx context.Context, env *Env) error {
	scenario, o := c.scenario(env)
	if err := o.Validate(); err != nil {
		return err
	}
	names := []string{strings.TrimPrefix(o.URL, "http://")}
	first, err := scenario(ctx, o)
	if err != nil {
		return err
	}
	results := []*bench.Result{first}
	if c.Floor {
		second, err := c.floor(ctx, scenario, o)
		if err != nil {
			return err
		}
		names, results = append(names, "floor"), append(results, second)
	}
	if err := c.print(env.Stdout, names, results); err != nil {
		return err
	}
	var problems []error
	for i, r := range results {
		if err := r.Err(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", names[i], err))
		}
	}
	return errors.Join(problems...)
}

func (c *benchLoad) scenario(env *Env) (func(context.Context, bench.Options) (*bench.Result, error), bench.Options) {
	o := bench.Options{
		URL: c.URL, App: c.App, Key: c.Key, Secret: c.Secret,
		Connections: c.Connections, Channels: c.Channels, Subscriptions: c.Subscriptions, Prefix: c.Prefix, Views: c.Views,
		Rate: c.Rate, Window: c.Window, Publishers: c.Publishers, Payload: c.Payload,
		Warmup: c.Warmup, Duration: c.Duration, Settle: c.Settle, Rounds: c.Churn,
		ConnectConcurrency: c.ConnectConcurrency, Readers: c.Readers,
		ServerPID: c.ServerPID, MetricsURL: c.MetricsURL,
	}
	if !c.Quiet {
		o.Progress = env.Stderr
	}
	if o.Rate == 0 && o.Window == 0 {
		o.Rate = 10
	}
	switch {
	case c.Idle:
		return bench.Idle, o
	case c.Churn > 0:
		return bench.Churn, o
	}
	return bench.FanOut, o
}

// floor does the same to the floor, a process of its own.
func (c *benchLoad) floor(ctx context.Context, scenario func(context.Context, bench.Options) (*bench.Result, error), o bench.Options) (*bench.Result, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child, err := bench.StartFloor(ctx, executable)
	if err != nil {
		return nil, err
	}
	o.URL, o.MetricsURL, o.ServerPID = child.URL, child.MetricsURL, child.PID()
	result, err := scenario(ctx, o)
	return result, errors.Join(err, child.Stop())
}

func (c *benchLoad) print(w io.Writer, names []string, results []*bench.Result) error {
	if !c.JSON {
		return bench.WriteTable(w, names, results)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if c.Floor {
		return enc.Encode(map[string]*bench.Result{"server": results[0], "floor": results[1]})
	}
	return enc.Encode(results[0])
}

// benchReport is the page of promised numbers.
type benchReport struct {
	Out    string `help:"Page to write." default:"docs/performance.md" type:"path"`
	Quick  bool   `help:"A look in under three minutes; its numbers wobble."`
	Commit string `help:"Commit to name, instead of the one the binary was built from."`
	JSON   bool   `name:"json" help:"Print the whole report as JSON."`
}

// Run measures, writes the page and fails if a run was not clean. A bar that is not met is
// on the page and no failure: the page is for saying so.
func (c *benchReport) Run(ctx context.Context, env *Env) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	report, err := bench.MakeReport(ctx, bench.ReportOptions{
		Executable: executable, Commit: c.Commit, IsQuick: c.Quick, Progress: env.Stderr,
	})
	if err != nil {
		return err
	}
	if err := c.write(report); err != nil {
		return err
	}
	err = printReport(env.Stdout, report, c.JSON)
	if len(report.Faults) > 0 {
		err = errors.Join(err, fmt.Errorf("%d runs were not clean, see %s", len(report.Faults), c.Out))
	}
	return err
}

func (c *benchReport) write(report *bench.Report) (err error) {
	if err := os.MkdirAll(filepath.Dir(c.Out), 0o755); err != nil {
		return err
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	return errors.Join(report.WriteMarkdown(f), f.Close())
}

// benchViews is the part of the report about live views.
type benchViews struct{ benchPart }

// Run measures and prints, and fails if a run was not clean.
func (c *benchViews) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, bench.MakeViewReport)
}

// benchGuards is the part of the report about users, limits, webhooks and storms.
type benchGuards struct{ benchPart }

// Run measures and prints, and fails if a run was not clean.
func (c *benchGuards) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, bench.MakeGuardReport)
}

// benchPart is what parts of the report have in common.
type benchPart struct {
	Quick  bool   `help:"A look; its numbers wobble."`
	Commit string `help:"Commit to name, instead of the one the binary was built from."`
	JSON   bool   `name:"json" help:"Print the whole report as JSON."`
}

func (c *benchPart) run(ctx context.Context, env *Env, measure func(context.Context, bench.ReportOptions) (*bench.Report, error)) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	report, err := measure(ctx, bench.ReportOptions{
		Executable: executable, Commit: c.Commit, IsQuick: c.Quick, Progress: env.Stderr,
	})
	if err != nil {
		return err
	}
	if err := printReport(env.Stdout, report, c.JSON); err != nil {
		return err
	}
	if len(report.Faults) > 0 {
		return fmt.Errorf("%d runs were not clean: %s", len(report.Faults), strings.Join(report.Faults, "; "))
	}
	return nil
}

// benchStorm is the part of the report about connections that are cut all at once.
type benchStorm struct{ benchPart }

// Run measures and prints, and fails if an effect was lost, doubled or left over.
func (c *benchStorm) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, bench.MakeStormReport)
}

// benchEnding is the part of the report about servers that end under load.
type benchEnding struct{ benchPart }

// Run measures and prints, and fails if a round was not clean.
func (c *benchEnding) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, bench.MakeEndingReport)
}

// benchHostile is the part of the report about hostile connections.
type benchHostile struct {
	benchPart

	Attack string `help:"Only attacks with this in their name." placeholder:"TEXT"`
}

// Run measures and prints. A bar that is not met is printed, and no failure.
func (c *benchHostile) Run(ctx context.Context, env *Env) error {
	return c.run(ctx, env, func(ctx context.Context, o bench.ReportOptions) (*bench.Report, error) {
		o.Attack = c.Attack
		return bench.MakeHostileReport(ctx, o)
	})
}

// CrowdCmd is the process that a storm kills.
type CrowdCmd struct {
	URL        string `help:"Server." default:"http://127.0.0.1:6001"`
	App        string `help:"App id." default:"app-id"`
	Key        string `help:"App key." default:"app-key"`
	Secret     string `help:"App secret." default:"app-secret"`
	Members    int    `help:"Connections in presence channels." default:"10000"`
	PerChannel int    `help:"Connections in each channel." default:"100"`
	Public     int    `help:"Connections in public channels." default:"5000"`
	SignIn     bool   `help:"Let those in public channels sign in, each as a user of its own."`
}

// Run stays until standard input or ctx ends.
func (c *CrowdCmd) Run(ctx context.Context, env *Env) error {
	return bench.RunCrowd(ctx, bench.Options{URL: c.URL, App: c.App, Key: c.Key, Secret: c.Secret},
		bench.StormOptions{Members: c.Members, PerChannel: c.PerChannel, Public: c.Public, SignIn: c.SignIn}, os.Stdin, env.Stdout)
}

func printReport(w io.Writer, report *bench.Report, isJSON bool) error {
	if !isJSON {
		return report.WriteTable(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// FloorCmd is the process that the load generator starts to have something to compare with.
type FloorCmd struct {
	Listen  string `help:"Address." default:"127.0.0.1:6002"`
	Secret  string `help:"Check the signatures of publications with it."`
	Batches bool   `help:"Write once per subscriber and round of the poller."`
}

// Run serves until ctx ends.
func (c *FloorCmd) Run(ctx context.Context, _ *Env) error {
	return bench.RunFloor(ctx, bench.FloorOptions{Address: c.Listen, Secret: c.Secret, Batches: c.Batches})
}

// EngineCmd is the process that a report starts to measure mutations without a network.
type EngineCmd struct {
	Entities int    `help:"Entities to begin with." default:"100000"`
	Views    int    `help:"Sorted views over them, up to two." default:"1"`
	Stored   string `help:"Directory to store them in; without it they are in memory only." placeholder:"DIR" type:"path"`
}

// Run takes orders until standard input or ctx ends.
func (c *EngineCmd) Run(ctx context.Context, env *Env) error {
	o := bench.EngineOptions{Entities: c.Entities, Views: c.Views}
	if c.Stored == "" {
		return bench.RunEngine(ctx, o, os.Stdin, env.Stdout)
	}
	store, err := embedded.Open(ctx, embedded.Options{Path: c.Stored, Log: env.Log})
	if err != nil {
		return err
	}
	o.Store = store
	err = bench.RunEngine(ctx, o, os.Stdin, env.Stdout)
	return errors.Join(err, store.Close()) //nolint:contextcheck // it closes whatever has ended ctx
}

// webhooksEngineCmd is the process that a report starts to measure webhooks.
type webhooksEngineCmd struct {
	Stored string `help:"Directory to store them in." required:"" type:"path"`
	Events int    `help:"How many." default:"100000"`
	Batch  int    `help:"Most events of a request." default:"100"`
}

// Run measures and prints.
func (c *webhooksEngineCmd) Run(ctx context.Context, env *Env) error {
	store, err := embedded.Open(ctx, embedded.Options{Path: c.Stored, Log: env.Log})
	if err != nil {
		return err
	}
	err = bench.RunWebhooks(ctx, bench.WebhookOptions{Store: store, Events: c.Events, Batch: c.Batch}, env.Stdout)
	return errors.Join(err, store.Close()) //nolint:contextcheck // it closes whatever has ended ctx
}
