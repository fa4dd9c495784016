package storm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
)

// Scenario is what the result of a storm is called.
const Scenario = "storm"

// Storm is what happened when a crowd was cut off all at once, and to those who stayed.
type Storm struct {
	Load *bench.Result `json:"-"` // those who stayed

	Crowd    int           `json:"crowd"`            // connections that were cut
	Members  int           `json:"members"`          // of them, in presence channels
	Removed  int           `json:"members_removed"`  // told to those who stayed, each counted once
	Doubled  int           `json:"removed_twice"`    // told again
	Stray    int           `json:"removed_stray"`    // told of a member who was not there, or too early
	LastTold float64       `json:"seconds_to_last"`  // from the cut to the last member_removed
	Seconds  float64       `json:"seconds_to_quiet"` // until no effect was left to come
	IsBeside bool          `json:"beside,omitempty"` // the crowd was another server's: no connection of this one was cut
	Quiet    bench.Latency `json:"quiet_latency"`    // before the cut
	During   bench.Latency `json:"storm_latency"`    // from the cut until then
	Left     Left          `json:"left_over"`

	Webhooks *Hooks `json:"webhooks,omitempty"`

	quiet, during *hdrhistogram.Histogram
}

// Left is what the server says is there beyond those who stayed.
type Left struct {
	Connections   int `json:"connections"`
	Channels      int `json:"channels"`
	Subscriptions int `json:"subscriptions"`
}

// Options say how large a storm is.
type Options struct {
	Members    int  // connections in presence channels
	PerChannel int  // of them in each
	Public     int  // connections in public channels, as many in each
	SignIn     bool // those in public channels sign in, each as a user of its own
	Quiet      time.Duration
	Rounds     int
}

func (o *Options) crowd() int { return o.Members + o.Public }

// presenceChannels is how many of them there are.
func (o *Options) presenceChannels() int { return (o.Members + o.PerChannel - 1) / o.PerChannel }

const (
	// timeout bounds the time until all effects of a storm have come.
	timeout = time.Minute
	// poll is the time between two looks at what the server says is left.
	poll = 100 * time.Millisecond
)

// besideTime is how long a storm is looked at that does not concern the server.
const besideTime = 1500 * time.Millisecond

// Servers are what a storm is about.
type Servers struct {
	Bench string       // the benchmark binary, which is the crowd
	Hooks *Endpoint    // that the server tells
	Floor *child.Child // whose connections are cut instead, for a storm beside; may be nil
}

// stormRun is one storm.
type stormRun struct {
	*bench.Run
	so        Options
	isBeside  bool
	hooks     *Endpoint
	witnesses *witnesses
	calm      map[string]float64 // the metrics page before the crowd came
}

// Measure lets a crowd in another process connect, measures what a steady load on other
// channels takes, cuts the crowd off by killing its process, and measures the same until
// every effect of that has come.
//
// With a floor the crowd is connected there: the rest is what the machine does by itself when so
// many sockets close on it.
func Measure(ctx context.Context, o bench.Options, so Options, at Servers) (*Storm, error) {
	run, err := bench.Begin(ctx, o, Scenario)
	if err != nil {
		return nil, err
	}
	defer run.Stop()
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	r := &stormRun{Run: run, so: so, hooks: at.Hooks, isBeside: at.Floor != nil}
	of := run.Options()
	if r.witnesses, err = startWitnesses(ctx, &of, so); err != nil {
		return nil, err
	}
	defer r.witnesses.stop()
	if r.calm, err = r.Server().Counters(ctx); err != nil {
		return nil, err
	}
	if r.isBeside {
		of.URL, so.SignIn = at.Floor.URL, false // the floor knows no users
	} else {
		r.hooks.expect(so)
	}
	crowd, err := startCrowd(ctx, at.Bench, &of, so)
	if err != nil {
		return nil, err
	}
	defer crowd.stop()
	if !r.isBeside { // else what is told of those who come would be part of the quiet
		if err := r.hooks.awaitCame(ctx); err != nil {
			return nil, err
		}
	}
	storm, err := r.measure(ctx, crowd)
	if err != nil {
		return nil, err
	}
	run.Finish(ctx)
	return storm, ctx.Err()
}

// measure publishes all along and looks at latency before and after the cut.
func (r *stormRun) measure(ctx context.Context, crowd *crowd) (*Storm, error) {
	stop, err := r.Publish(ctx)
	if err != nil {
		return nil, err
	}
	bench.Pause(ctx, r.Options().Warmup+r.so.Quiet)
	storm := &Storm{Load: r.Result(), Crowd: r.so.crowd(), Members: r.so.Members, IsBeside: r.isBeside, quiet: r.TakeLatency()}
	cut := time.Now()
	if !r.isBeside {
		r.witnesses.expect()
		r.hooks.expectGone()
	}
	crowd.kill()
	if r.isBeside {
		storm.Seconds = besideTime.Seconds()
		bench.Pause(ctx, besideTime)
	} else {
		err = r.awaitQuiet(ctx, storm, cut)
	}
	storm.during = r.TakeLatency()
	if !r.isBeside && err == nil {
		storm.Webhooks, err = r.hooks.awaitGone(ctx)
		storm.Webhooks.others = r.TakeLatency()
	}
	storm.sum()
	stop()
	r.Result().Latency = &storm.During
	return storm, err
}

// sum fills in what the histograms say.
func (s *Storm) sum() {
	const basis = bench.BasisIntended
	s.Quiet, s.During = bench.NewLatency(s.quiet, basis), bench.NewLatency(s.during, basis)
	if h := s.Webhooks; h != nil {
		h.Others = bench.NewLatency(h.others, basis)
	}
}

// Pool takes what other storms of the same kind have measured into s.
func (s *Storm) Pool(others ...*Storm) {
	for _, o := range others {
		s.Removed, s.Doubled, s.Stray = s.Removed+o.Removed, s.Doubled+o.Doubled, s.Stray+o.Stray
		s.Members, s.LastTold, s.Seconds = s.Members+o.Members, max(s.LastTold, o.LastTold), max(s.Seconds, o.Seconds)
		s.Left.Connections += o.Left.Connections
		s.Left.Channels += o.Left.Channels
		s.Left.Subscriptions += o.Left.Subscriptions
		s.quiet.Merge(o.quiet)
		s.during.Merge(o.during)
		if s.Webhooks != nil && o.Webhooks != nil {
			s.Webhooks.pool(o.Webhooks)
		}
	}
	s.sum()
}

// awaitQuiet returns when every effect has come, or when none comes any more.
func (r *stormRun) awaitQuiet(ctx context.Context, storm *Storm, cut time.Time) error {
	deadline := time.Now().Add(timeout)
	for time.Now().Before(deadline) {
		if !bench.Pause(ctx, poll/10) {
			return ctx.Err()
		}
		told := r.witnesses.told()
		storm.Removed, storm.Doubled, storm.Stray = told.removed, told.doubled, told.stray
		storm.LastTold = told.last.Sub(cut).Seconds()
		if told.removed < r.so.Members {
			continue
		}
		storm.Seconds = time.Since(cut).Seconds()
		page, err := r.Server().Counters(ctx)
		if err != nil {
			return err
		}
		if storm.Left = left(r.calm, page); storm.Left == (Left{}) {
			bench.Pause(ctx, poll) // what is told now is told twice
			told = r.witnesses.told()
			storm.Removed, storm.Doubled, storm.Stray = told.removed, told.doubled, told.stray
			return nil
		}
		bench.Pause(ctx, poll)
	}
	return nil // the result says what is missing
}

// left compares what was there before the crowd with what is there after it.
func left(before, after map[string]float64) Left {
	diff := func(name string) int { return int(after[name] - before[name]) }
	return Left{
		Connections:   diff("millrace_session_connections") + diff("millrace_session_cleanup_waiting"),
		Channels:      diff("millrace_channel_occupied_channels"),
		Subscriptions: diff("millrace_channel_subscriptions"),
	}
}

// Err says which effects of the storm were lost, doubled, out of place or left over; nil if none
// was: slowness never is an error. What went wrong with those who stayed is in Load.
func (s *Storm) Err() error {
	if s.IsBeside {
		return nil
	}
	var problems []error
	count := func(n int, what string) {
		if n > 0 {
			problems = append(problems, fmt.Errorf("%d %s", n, what))
		}
	}
	count(s.Members-s.Removed, "members are gone and the others were not told")
	count(s.Doubled, "members were said to be gone twice")
	count(s.Stray, "members were said to be gone who were not there")
	count(s.Left.Connections, "connections were left over")
	count(s.Left.Channels, "channels were left over")
	count(s.Left.Subscriptions, "subscriptions were left over")
	if h := s.Webhooks; h != nil {
		count(h.Expected-h.Came, "webhooks that a connection came are missing")
		count(h.Expected-h.Gone, "webhooks that a connection is gone are missing")
		count(h.Doubled, "webhooks were sent twice")
		count(h.Stray, "webhooks told of what was not so")
	}
	return errors.Join(problems...)
}
