package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Storm is what happened when a crowd was cut off all at once, and to those who stayed.
type Storm struct {
	Crowd    int     `json:"crowd"`            // connections that were cut
	Members  int     `json:"members"`          // of them, in presence channels
	Removed  int     `json:"members_removed"`  // told to those who stayed, each counted once
	Doubled  int     `json:"removed_twice"`    // told again
	Stray    int     `json:"removed_stray"`    // told of somebody who was not there, or too early
	LastTold float64 `json:"seconds_to_last"`  // from the cut to the last member_removed
	Seconds  float64 `json:"seconds_to_quiet"` // until no effect was left to come
	IsBeside bool    `json:"beside,omitempty"` // the crowd was another server's: nobody here was cut
	Quiet    Latency `json:"quiet_latency"`    // before the cut
	During   Latency `json:"storm_latency"`    // from the cut until then
	Left     Left    `json:"left_over"`

	Webhooks *StormHooks `json:"webhooks,omitempty"`

	quiet, during *hdrhistogram.Histogram
}

// Left is what the server says is there beyond those who stayed.
type Left struct {
	Connections   int `json:"connections"`
	Channels      int `json:"channels"`
	Subscriptions int `json:"subscriptions"`
}

// StormOptions say how large a storm is.
type StormOptions struct {
	Members    int  // connections in presence channels
	PerChannel int  // of them in each
	Public     int  // connections in public channels, as many in each
	SignIn     bool // those in public channels sign in, each as a user of its own
	Quiet      time.Duration
	Rounds     int
}

func (o *StormOptions) crowd() int { return o.Members + o.Public }

// presenceChannels is how many of them there are.
func (o *StormOptions) presenceChannels() int { return (o.Members + o.PerChannel - 1) / o.PerChannel }

const (
	// stormTimeout bounds the time until all effects of a storm have come.
	stormTimeout = time.Minute
	// stormPoll is between two looks at what the server says is left.
	stormPoll = 100 * time.Millisecond
)

// besideTime is how long a storm is looked at that does not concern the server.
const besideTime = 1500 * time.Millisecond

// stormRun is one storm.
type stormRun struct {
	*session
	so        StormOptions
	beside    *Child      // whose connections are cut instead; may be nil
	hooks     *stormHooks // that the server tells
	witnesses *witnesses
	calm      map[string]float64 // the metrics page before the crowd came
}

// runStorm lets a crowd in another process connect, measures what a steady load on other
// channels takes, cuts the crowd off by killing its process, and measures the same until
// every effect of that has come.
//
// With beside the crowd is connected there: the rest is what the machine does by itself when so
// many sockets close on it.
func runStorm(ctx context.Context, executable string, o Options, so StormOptions, hooks *stormHooks, beside *Child) (*Result, error) {
	s, err := begin(ctx, o, ScenarioStorm)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	r := &stormRun{session: s, so: so, hooks: hooks, beside: beside}
	if r.witnesses, err = startWitnesses(ctx, s, so); err != nil {
		return nil, err
	}
	defer r.witnesses.stop()
	if r.calm, err = r.counters(ctx); err != nil {
		return nil, err
	}
	of := s.o
	if beside != nil {
		of.URL, so.SignIn = beside.URL, false // the floor knows no users
	} else {
		r.hooks.expect(so)
	}
	crowd, err := startCrowd(ctx, executable, &of, so)
	if err != nil {
		return nil, err
	}
	defer crowd.stop()
	if beside == nil { // else what is told of those who come would be part of the quiet
		if err := r.hooks.awaitCame(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.measure(ctx, crowd); err != nil {
		return nil, err
	}
	s.finish(ctx)
	return s.result, ctx.Err()
}

// measure publishes all along and looks at latency before and after the cut.
func (r *stormRun) measure(ctx context.Context, crowd *crowd) error {
	clock := r.swarm.clock
	start := clock.now() + int64(lead)
	from := start + int64(r.o.Warmup)
	publishers, err := r.publishers(start, from, math.MaxInt64)
	if err != nil {
		return err
	}
	defer reserveProcessors(len(publishers))()
	r.result.Delivery = new(Delivery)
	publishing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range publishers {
		wg.Go(func() { p.run(publishing, ctx) }) // ends with stop
	}
	clock.sleepUntil(ctx, from+int64(r.so.Quiet))
	storm := &Storm{Crowd: r.so.crowd(), Members: r.so.Members, IsBeside: r.beside != nil, quiet: r.latency()}
	r.result.Storm = storm
	cut := clock.now()
	if r.beside == nil {
		r.witnesses.expect(cut)
		r.hooks.expectGone()
	}
	crowd.kill()
	if r.beside != nil {
		storm.Seconds = besideTime.Seconds()
		pause(ctx, besideTime)
	} else {
		err = r.awaitQuiet(ctx, storm, cut)
	}
	storm.during = r.latency()
	if r.beside == nil && err == nil {
		storm.Webhooks, err = r.hooks.awaitGone(ctx)
		storm.Webhooks.others = r.latency()
	}
	storm.sum()
	stop()
	wg.Wait()
	r.drain(ctx, publishers)
	r.account(publishers)
	r.result.Latency = &storm.During
	return err
}

// latency is what readers have measured since the last call. Of a publication, what was
// received by then counts.
func (r *stormRun) latency() *hdrhistogram.Histogram {
	sum := newHistogram()
	for _, reader := range r.swarm.readers {
		reader.mu.Lock()
		sum.Merge(reader.latency)
		reader.latency.Reset()
		reader.mu.Unlock()
	}
	return sum
}

// sum fills in what the histograms say.
func (s *Storm) sum() {
	const basis = "intended send time"
	s.Quiet, s.During = newLatency(s.quiet, basis), newLatency(s.during, basis)
	if h := s.Webhooks; h != nil {
		h.Others = newLatency(h.others, basis)
	}
}

// pool takes what other storms of the same kind have measured into s.
func (s *Storm) pool(others ...*Storm) {
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
func (r *stormRun) awaitQuiet(ctx context.Context, storm *Storm, cut int64) error {
	deadline := time.Now().Add(stormTimeout)
	for time.Now().Before(deadline) {
		if !pause(ctx, stormPoll/10) {
			return ctx.Err()
		}
		told := r.witnesses.told()
		storm.Removed, storm.Doubled, storm.Stray = told.removed, told.doubled, told.stray
		storm.LastTold = float64(told.last-cut) / 1e9
		if told.removed < r.so.Members {
			continue
		}
		storm.Seconds = float64(r.swarm.clock.now()-cut) / 1e9
		page, err := r.counters(ctx)
		if err != nil {
			return err
		}
		if storm.Left = left(r.calm, page); storm.Left == (Left{}) {
			pause(ctx, stormPoll) // what is told now is told twice
			told = r.witnesses.told()
			storm.Removed, storm.Doubled, storm.Stray = told.removed, told.doubled, told.stray
			return nil
		}
		pause(ctx, stormPoll)
	}
	return nil // the result says what is missing
}

func (r *stormRun) counters(ctx context.Context) (map[string]float64, error) {
	page, err := r.target.page(ctx)
	if err != nil {
		return nil, fmt.Errorf("storm: the metrics page is needed: %w", err)
	}
	return parseCounters(page), nil
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

// storm measures what those who stay notice of many who are cut off, and, in turns, what
// they notice when those were connected to the floor instead.
func (r *reporter) storm(ctx context.Context) error {
	var here, beside []*Storm
	hooks := startStormHooks(DevelopmentSecret)
	defer hooks.close()
	start := func(ctx context.Context, executable string) (*Child, error) {
		return startStormServer(ctx, executable, hooks.server.URL)
	}
	run := func(c, floor *Child, name string, into *[]*Storm) error {
		scenario := func(ctx context.Context, o Options) (*Result, error) {
			return runStorm(ctx, r.o.Executable, o, r.plan.storm, hooks, floor)
		}
		result, err := r.run(ctx, "storm", name, scenario, c, Options{
			Connections: 20, Channels: 10, Prefix: "steady-", Payload: 128, Rate: 400, Publishers: 4, Warmup: time.Second,
		})
		if err == nil {
			*into = append(*into, result.Storm)
		}
		return err
	}
	err := with(ctx, start, r.o.Executable, func(c *Child) error {
		return with(ctx, StartFloor, r.o.Executable, func(floor *Child) error {
			for range max(1, r.plan.storm.Rounds) {
				if err := errors.Join(run(c, floor, nameFloor, &beside), run(c, nil, nameServer, &here)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	here[0].pool(here[1:]...)
	beside[0].pool(beside[1:]...)
	r.addGuards(stormFigures(here[0], beside[0], len(here))...)
	return nil
}

// MakeStormReport is the part of MakeReport about connections that are cut all at once.
func MakeStormReport(ctx context.Context, o ReportOptions) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.storm)
}

// stormFigures are those of so many storms together.
func stormFigures(s, beside *Storm, rounds int) []Figure {
	growth := ratio(s.During.P99, beside.During.P99)
	return []Figure{
		{
			What: fmt.Sprintf("p99 latency of others while %d connections are cut at once, %d of them members of presence channels",
				s.Crowd, s.Members/rounds),
			Bar: "at most that when the same crowd dies at the floor", Measured: fmt.Sprintf("%.2f ms = %.2f x", s.During.P99/1e3, growth),
			Floor: fmt.Sprintf("%.2f ms", beside.During.P99/1e3), IsMet: s.During.Count > 0 && beside.During.Count > 0 && growth <= 1,
			Note: fmt.Sprintf("%d storms together, the longest delivery %.2f ms; the floor has nothing to tell anybody: its figure is what the "+
				"kernel of the one machine does to close as many sockets; in quiet the p99 is %.2f ms, the longest delivery %.2f ms",
				rounds, s.During.Max/1e3, s.Quiet.P99/1e3, s.Quiet.Max/1e3),
		},
		{
			What: "member_removed told to those who stay, each once", Bar: strconv.Itoa(s.Members),
			Measured: fmt.Sprintf("%d, the last after %.2f s", s.Removed, s.LastTold),
			IsMet:    s.Removed == s.Members && s.Doubled == 0 && s.Stray == 0 && s.Left == (Left{}),
			Note: fmt.Sprintf("%d were told twice, %d out of place; left over: %d connections, %d channels, %d subscriptions",
				s.Doubled, s.Stray, s.Left.Connections, s.Left.Channels, s.Left.Subscriptions),
		},
		stormHooksFigure(s.Webhooks),
	}
}
