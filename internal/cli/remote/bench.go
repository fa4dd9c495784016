package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/cli/command"
)

// BenchCmd puts load on a server.
type BenchCmd struct {
	Load  benchLoad  `cmd:"" default:"withargs" help:"Put load on a server and measure what it costs (the default)."`
	Moved benchMoved `cmd:"" name:"report" aliases:"views,guards,storm,ending,hostile" hidden:"" help:"Is in the repository."`
}

// benchMoved is what measures Millrace's own promises, and needs no place in a server.
type benchMoved struct {
	Args []string `arg:"" optional:"" passthrough:""`
}

// Run says where it is.
func (*benchMoved) Run() error {
	return errors.New("reports on Millrace itself are made in a clone of its repository, by make bench, make storm, make endings and make hostile; " +
		"millrace bench load puts load on any server")
}

// benchLoad is one run.
type benchLoad struct {
	appFlags

	Connections   int           `help:"Connections that are opened." short:"n" default:"1000"`
	Channels      int           `help:"Channels. Connection i subscribes from channel i mod CHANNELS on." short:"m" default:"1"`
	Subscriptions int           `help:"Subscriptions of each connection." default:"1"`
	Prefix        string        `help:"Beginning of channel names. Channels that begin with private- are signed." default:"bench-"`
	LiveViews     bool          `help:"Put the load on live views: channels are entity types, connections subscribe to their lists, publications are mutations."`
	Views         bool          `hidden:"" help:"Earlier name of --live-views."`
	Rate          float64       `help:"Publishes per second, 10 unless --window is given. The latency of a publish counts from when it was due." short:"r" xor:"load" placeholder:"N"`
	Window        int           `help:"Publishes that are outstanding at a time, each until its last subscriber has it." short:"w" xor:"load" placeholder:"N"`
	Payload       int           `help:"Bytes of event data." default:"128"`
	Publishers    int           `help:"HTTP connections that publish." default:"4"`
	Warmup        time.Duration `help:"Duration of the load before the measurement." default:"2s"`
	Duration      time.Duration `help:"Duration of the measurement." short:"d" default:"10s"`
	Settle        time.Duration `help:"Time before memory is measured, and after a round of churn."`

	Idle  bool `help:"Publish nothing, and measure what idle connections cost." xor:"scenario"`
	Churn int  `help:"Publish nothing, and connect and disconnect everything this many times." placeholder:"ROUNDS" xor:"scenario"`

	ConnectConcurrency int    `help:"Connections that are opened at a time." default:"64"`
	Readers            int    `help:"Pollers that read deliveries. 0 is one for two processors." placeholder:"N"`
	ServerPID          int    `name:"server-pid" help:"Process of the server. By default the process of this machine that listens on the port." placeholder:"PID"`
	MetricsURL         string `name:"metrics-url" help:"Metrics page of the server." default:"http://127.0.0.1:9601/metrics"`

	Quiet bool `help:"Print no progress." short:"q"`
}

// Run measures and prints. Loss, disorder and refusals are a failure; slowness is none.
func (c *benchLoad) Run(ctx context.Context, env *command.Env) error {
	t, err := c.target(env)
	if err != nil {
		return err
	}
	if c.Views {
		env.Replaced("--views", "write --live-views instead")
		c.LiveViews = true
	}
	scenario, o := c.scenario(env, t)
	if err := o.Validate(); err != nil {
		return command.Usagef("%s", err.Error())
	}
	result, err := scenario(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(c.print(env.Stdout, strings.TrimPrefix(o.URL, "http://"), result), result.Err())
}

func (c *benchLoad) scenario(env *command.Env, t *target) (func(context.Context, bench.Options) (*bench.Result, error), bench.Options) {
	o := bench.Options{
		URL: t.url.value, App: t.app.value, Key: t.key.value, Secret: t.secret.value,
		Connections: c.Connections, Channels: c.Channels, Subscriptions: c.Subscriptions, Prefix: c.Prefix, Views: c.LiveViews,
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

func (c *benchLoad) print(w io.Writer, name string, result *bench.Result) error {
	if !c.JSON {
		return bench.WriteTable(w, name, result)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(result)
}
