package report

import (
	"context"
	"fmt"
	"os"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
	"github.com/millrace/millrace/test/bench/engine"
)

// guards measures what protects the server costs, and what it does for operators.
func (r *reporter) guards(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.idlingUsers, r.limiting, r.hooking, r.withstandingSome, r.storm, r.endings} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *reporter) addGuards(figures ...Figure) {
	r.report.Guards = append(r.report.Guards, figures...)
}

// limited are all limits, each so high that no client meets it.
func limited() []string {
	const most = "1000000000"
	return []string{
		"MILLRACE_LIMITS_API_REQUESTS_MAX=" + most,
		"MILLRACE_LIMITS_CONNECTS_MAX=" + most,
		"MILLRACE_WEBSOCKET_MAX_CONNECTIONS=" + most,
		"MILLRACE_APPS_0_MAX_CONNECTIONS=" + most,
		"MILLRACE_APPS_0_MAX_SUBSCRIPTIONS_PER_CONNECTION=" + most,
		"MILLRACE_APPS_0_MAX_BACKEND_EVENTS_PER_SECOND=" + most,
		"MILLRACE_APPS_0_MAX_READ_REQUESTS_PER_SECOND=" + most,
		"MILLRACE_APPS_0_MAX_CLIENT_EVENTS=" + most,
		"MILLRACE_APPS_0_MAX_MESSAGES=" + most,
		"MILLRACE_APPS_0_USER_AUTHENTICATION_TIMEOUT=1h",
	}
}

// idlingUsers measures the memory of connections that have signed in and are limited.
func (r *reporter) idlingUsers(ctx context.Context) error {
	return r.onServer(ctx, func(c *child.Child) error {
		p := r.plan.guards
		result, err := r.run(ctx, fmt.Sprintf("idle, %d users", p.idle), nameServer, bench.Idle, c,
			bench.Options{Connections: p.idle, Channels: 100, Settle: r.plan.settle, SettleMost: r.plan.settleMost, SignIn: true})
		if err == nil {
			r.addGuards(userFigure(result, r.idling))
		}
		return err
	}, limited()...)
}

// Names of what is compared in the part about limits.
const (
	nameLimited   = "with limits"
	nameUnlimited = "without"
)

// limiting compares the cost of a publish with and without limits, in turns.
func (r *reporter) limiting(ctx context.Context) error {
	p := r.plan.guards
	o := bench.Options{Connections: 100, Channels: 100, Payload: 128, Window: 16, Warmup: p.warmup, Duration: p.duration}
	free := []string{"MILLRACE_APPS_0_MAX_CLIENT_EVENTS=0"}
	var with, without []*bench.Result
	err := r.onServers(ctx, limited(), free, func(limited, unlimited *child.Child) error {
		run := func(name string, c *child.Child, into *[]*bench.Result) error {
			result, err := r.run(ctx, "publishing, window 16", name, bench.FanOut, c, o)
			if err == nil {
				*into = append(*into, result)
			}
			return err
		}
		for i := range 2 * p.rounds { // in the order of ABBA, so that who comes first gains nothing
			var err error
			if i%4 == 0 || i%4 == 3 {
				err = run(nameLimited, limited, &with)
			} else {
				err = run(nameUnlimited, unlimited, &without)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.addGuards(limitFigure(with, without))
	}
	return err
}

// onServers runs f with two fresh servers of different settings.
func (r *reporter) onServers(ctx context.Context, first, second []string, f func(a, b *child.Child) error) error {
	return r.onServer(ctx, func(a *child.Child) error {
		return r.onServer(ctx, func(b *child.Child) error { return f(a, b) }, second...)
	}, first...)
}

const webhookBatch = 100 // events of a request, as by default

// hooking measures how many webhook events are stored and delivered.
func (r *reporter) hooking(ctx context.Context) error {
	n := r.plan.guards.events
	r.say("webhooks")
	batched, err := engine.MeasureWebhooks(ctx, r.o.Bench, n, webhookBatch)
	if err != nil {
		return err
	}
	single, err := engine.MeasureWebhooks(ctx, r.o.Bench, n/5, 1)
	if err != nil {
		return err
	}
	mounts, _ := os.ReadFile("/proc/mounts") // without it the disk is unknown
	r.addGuards(webhookFigure(batched, single, fileSystem(os.TempDir(), string(mounts))))
	return nil
}
