package report

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
	"github.com/millrace/millrace/test/bench/engine"
	"github.com/millrace/millrace/test/bench/views"
)

// views measures what was promised of live views.
func (r *reporter) views(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		r.mutating, r.growing, r.sharing, r.delivering, r.lagging, r.idlingViews,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *reporter) addViews(figures ...Figure) { r.report.Views = append(r.report.Views, figures...) }

// Names of what is compared in the part about live views.
const (
	nameViews    = "views"
	nameChannels = "channels"
)

// Batches that keep an engine busy.
const (
	batchSize    = 100
	batchCallers = 4
	soloCallers  = 64
)

// mutating measures how many mutations an engine applies.
func (r *reporter) mutating(ctx context.Context) error {
	p := r.plan.views
	busy := engine.Order{Do: engine.OrderApply, Batch: batchSize, Callers: batchCallers, Duration: p.burst}
	var memory, stored, solo []engine.Answer
	measure := func(into *[]engine.Answer, order engine.Order) func(*engine.Child) error {
		return func(c *engine.Child) (err error) {
			*into, err = c.Rounds(order, p.rounds)
			return err
		}
	}
	r.say("mutations in memory")
	if err := engine.With(ctx, r.o.Bench, p.entities, 1, false, measure(&memory, busy)); err != nil {
		return err
	}
	r.say("mutations stored")
	err := engine.With(ctx, r.o.Bench, p.entities, 1, true, func(c *engine.Child) error {
		return errors.Join(measure(&stored, busy)(c),
			measure(&solo, engine.Order{Do: engine.OrderApply, Batch: 1, Callers: soloCallers, Duration: p.burst})(c))
	})
	if err != nil {
		return err
	}
	mounts, _ := os.ReadFile("/proc/mounts") // without it the disk is unknown
	r.addViews(appliedFigure(memory), storedFigure(stored, solo, fileSystem(os.TempDir(), string(mounts))))
	return nil
}

// growth is what an engine with many entities was asked in turn: with no view, one and two,
// right after it was filled and after as many changes as it has entities.
type growth struct {
	few, many                             []engine.Answer // rounds, with one view
	fresh, changed, one, two, twoAndMoved engine.Answer
}

// growing measures how time and memory grow with the entities.
func (r *reporter) growing(ctx context.Context) error {
	p := r.plan.views
	r.say("mutations with %d and with %d entities", p.few, p.many)
	var g growth
	err := engine.With(ctx, r.o.Bench, p.many, 0, false, func(many *engine.Child) error {
		return engine.With(ctx, r.o.Bench, p.few, 1, false, func(few *engine.Child) error {
			return g.measure(few, many, p)
		})
	})
	if err != nil {
		return err
	}
	r.addViews(growthFigure(g))
	r.addViews(entityFigures(g)...)
	return nil
}

func (g *growth) measure(few, many *engine.Child, p viewPlan) error {
	var err error
	do := func(c *engine.Child, o engine.Order) (a engine.Answer) {
		if err == nil {
			a, err = c.Do(o)
		}
		return a
	}
	weigh, stir, define := engine.Order{Do: engine.OrderMeasure}, engine.Order{Do: engine.OrderStir}, engine.Order{Do: engine.OrderDefine}
	g.fresh = do(many, weigh)
	do(many, stir)
	g.changed = do(many, weigh)
	do(many, define)
	g.one = do(many, weigh)
	busy := engine.Order{Do: engine.OrderApply, Batch: batchSize, Callers: batchCallers, Duration: p.burst}
	do(few, engine.Order{Do: engine.OrderApply, Batch: batchSize, Callers: batchCallers, Duration: p.burst / 4}) // warm
	for range p.rounds {
		g.few = append(g.few, do(few, busy))
		g.many = append(g.many, do(many, busy))
	}
	do(many, define)
	g.two = do(many, weigh)
	do(many, stir)
	g.twoAndMoved = do(many, weigh)
	return err
}

// onViewServer runs f with a fresh server with unlimitedViews.
func (r *reporter) onViewServer(ctx context.Context, f func(*child.Child) error) error {
	return r.onServer(ctx, f, unlimitedViews()...)
}

// unlimitedViews are the settings of a server without the limits that keep one address from opening
// many connections to views. Its entities are in memory.
func unlimitedViews() []string {
	return []string{
		"MILLRACE_STORE_DRIVER=memory", "MILLRACE_VIEWS_RATE_LIMITING_ENABLED=false", "MILLRACE_VIEWS_READ_MAX_ROWS=10000000",
	}
}

// sharing measures what a change costs whom it does not concern, and whom it does.
func (r *reporter) sharing(ctx context.Context) error {
	return r.onViewServer(ctx, func(c *child.Child) error {
		watchers := r.plan.views.watchers
		name := fmt.Sprintf("a window of %d with %d watchers", views.Top, watchers)
		s, err := views.MeasureSharing(ctx, r.begin(name, nameViews, c, bench.Options{Connections: watchers, Payload: bench.MinPayload}))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.keep(Run{Name: name, Server: nameViews, Result: s.Load, Sharing: s}, s.Load.Err())
		r.addViews(outsideFigure(s))
		r.addViews(sharingFigures(s, watchers)...)
		return nil
	})
}

// delivering compares a delivery of a view with one of a channel, by the same server.
func (r *reporter) delivering(ctx context.Context) error {
	p := r.plan.views
	o := bench.Options{Connections: p.subscribers, Channels: 1, Payload: 128, Rate: 20, Warmup: p.warmup, Duration: p.duration}
	of := o
	of.Views = true
	return r.onViewServer(ctx, func(c *child.Child) error {
		var channels, watched []*bench.Result
		for range p.rounds {
			a, err := r.run(ctx, "20 publishes/s", nameChannels, bench.FanOut, c, o)
			if err != nil {
				return err
			}
			b, err := r.run(ctx, "20 mutations/s", nameViews, bench.FanOut, c, of)
			if err != nil {
				return err
			}
			channels, watched = append(channels, a), append(watched, b)
		}
		r.addViews(deliveryFigure(watched, channels))
		return nil
	})
}

// lagging measures what a slow reader of a long snapshot does to the server and to others.
func (r *reporter) lagging(ctx context.Context) error {
	return r.onViewServer(ctx, func(c *child.Child) error {
		r.say("filling %d entities", r.plan.views.lag.Rows)
		l, err := views.MeasureLag(ctx, c.Options(), r.plan.views.lag, func(ctx context.Context, name string, o bench.Options) (*bench.Result, error) {
			return r.run(ctx, name, nameViews, bench.FanOut, c, o)
		})
		if err != nil {
			return err
		}
		for _, miss := range l.Misses {
			if miss != nil {
				r.fault(fmt.Sprintf("slow reader: %v", miss))
			}
		}
		r.addViews(lagFigures(l)...)
		return nil
	})
}

// idlingViews measures the memory of connections that watch something where nothing happens.
func (r *reporter) idlingViews(ctx context.Context) error {
	p := r.plan.views
	return r.onViewServer(ctx, func(c *child.Child) error {
		result, err := r.run(ctx, fmt.Sprintf("idle, %d connections", p.idle), nameViews, bench.Idle, c,
			bench.Options{Connections: p.idle, Channels: 100, Settle: p.settle, SettleMost: r.plan.settleMost, Views: true})
		if err == nil {
			r.addViews(idleViewsFigure(result, r.idling))
		}
		return err
	})
}
