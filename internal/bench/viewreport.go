package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// viewPlan is how much the part of a report about live views does.
type viewPlan struct {
	entities     int // of the engine whose speed is measured
	few, many    int // entities of the engines whose cost is compared
	rounds       int
	burst        time.Duration // of one round of an engine
	watchers     int           // of a window
	subscribers  int           // of a list
	warmup       time.Duration
	duration     time.Duration
	crowd        int // entities of a long snapshot
	bystanders   int // who watch while it is sent
	slowRounds   int
	slowDuration time.Duration
	slowSettle   time.Duration // before its memory is measured
	idle         int           // connections
	settle       time.Duration
}

func newViewPlan(isQuick bool) viewPlan {
	if isQuick {
		return viewPlan{
			entities: 100_000, few: 1_000, many: 200_000, rounds: 1, burst: time.Second,
			watchers: 1_000, subscribers: 2_000, warmup: 500 * time.Millisecond, duration: 2 * time.Second,
			crowd: 100_000, bystanders: 200, slowRounds: 2, slowDuration: 2 * time.Second, slowSettle: 2 * time.Second,
			idle: 3_000, settle: 3 * time.Second,
		}
	}
	return viewPlan{
		entities: 100_000, few: 1_000, many: 1_000_000, rounds: 3, burst: 1500 * time.Millisecond,
		watchers: 1_000, subscribers: 2_000, warmup: time.Second, duration: 5 * time.Second,
		crowd: 100_000, bystanders: 200, slowRounds: 3, slowDuration: 3 * time.Second, slowSettle: settleEnds,
		idle: 15_000, settle: 5 * time.Second,
	}
}

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

func (r *reporter) say(format string, args ...any) {
	if r.o.Progress != nil {
		fmt.Fprintf(r.o.Progress, format+"\n", args...)
	}
}

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
	busy := engineOrder{Do: orderApply, Batch: batchSize, Callers: batchCallers, Duration: p.burst}
	var memory, stored, solo []engineAnswer
	measure := func(into *[]engineAnswer, order engineOrder) func(*engineChild) error {
		return func(c *engineChild) (err error) {
			*into, err = c.rounds(order, p.rounds)
			return err
		}
	}
	r.say("mutations in memory")
	if err := withEngine(ctx, r.o.Executable, p.entities, 1, false, measure(&memory, busy)); err != nil {
		return err
	}
	r.say("mutations stored")
	err := withEngine(ctx, r.o.Executable, p.entities, 1, true, func(c *engineChild) error {
		return errors.Join(measure(&stored, busy)(c),
			measure(&solo, engineOrder{Do: orderApply, Batch: 1, Callers: soloCallers, Duration: p.burst})(c))
	})
	if err != nil {
		return err
	}
	mounts, _ := os.ReadFile("/proc/mounts") // without it the disk is unknown
	r.addViews(appliedFigure(memory), storedFigure(stored, solo, fileSystem(os.TempDir(), string(mounts))))
	return nil
}

// rounds gives the same order again and again.
func (c *engineChild) rounds(o engineOrder, n int) ([]engineAnswer, error) {
	var answers []engineAnswer
	for range n {
		a, err := c.do(o)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// growth is what an engine with many entities was asked in turn: with no view, one and two,
// right after it was filled and after as many changes as it has entities.
type growth struct {
	few, many                             []engineAnswer // rounds, with one view
	fresh, changed, one, two, twoAndMoved engineAnswer
}

// growing measures how time and memory grow with the entities.
func (r *reporter) growing(ctx context.Context) error {
	p := r.plan.views
	r.say("mutations with %d and with %d entities", p.few, p.many)
	var g growth
	err := withEngine(ctx, r.o.Executable, p.many, 0, false, func(many *engineChild) error {
		return withEngine(ctx, r.o.Executable, p.few, 1, false, func(few *engineChild) error {
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

func (g *growth) measure(few, many *engineChild, p viewPlan) error {
	var err error
	do := func(c *engineChild, o engineOrder) (a engineAnswer) {
		if err == nil {
			a, err = c.do(o)
		}
		return a
	}
	weigh, stir, define := engineOrder{Do: orderMeasure}, engineOrder{Do: orderStir}, engineOrder{Do: orderDefine}
	g.fresh = do(many, weigh)
	do(many, stir)
	g.changed = do(many, weigh)
	do(many, define)
	g.one = do(many, weigh)
	busy := engineOrder{Do: orderApply, Batch: batchSize, Callers: batchCallers, Duration: p.burst}
	do(few, engineOrder{Do: orderApply, Batch: batchSize, Callers: batchCallers, Duration: p.burst / 4}) // warm
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

// sharing measures what a change costs whom it does not concern, and whom it does.
func (r *reporter) sharing(ctx context.Context) error {
	return with(ctx, StartViewServer, r.o.Executable, func(c *Child) error {
		name := fmt.Sprintf("a window of %d with %d watchers", top, r.plan.views.watchers)
		result, err := r.run(ctx, name, nameViews, Window, c, Options{Connections: r.plan.views.watchers, Payload: stampSize})
		if err != nil {
			return err
		}
		r.addViews(outsideFigure(result))
		r.addViews(sharingFigures(result)...)
		return nil
	})
}

// delivering compares a delivery of a view with one of a channel, by the same server.
func (r *reporter) delivering(ctx context.Context) error {
	p := r.plan.views
	o := Options{Connections: p.subscribers, Channels: 1, Payload: 128, Rate: 20, Warmup: p.warmup, Duration: p.duration}
	of := o
	of.Views = true
	return with(ctx, StartViewServer, r.o.Executable, func(c *Child) error {
		var channels, views []*Result
		for range p.rounds {
			a, err := r.run(ctx, "20 publishes/s", nameChannels, FanOut, c, o)
			if err != nil {
				return err
			}
			b, err := r.run(ctx, "20 mutations/s", nameViews, FanOut, c, of)
			if err != nil {
				return err
			}
			channels, views = append(channels, a), append(views, b)
		}
		r.addViews(deliveryFigure(views, channels))
		return nil
	})
}

// lagging measures what a slow reader of a long snapshot does to the server and to others.
func (r *reporter) lagging(ctx context.Context) error {
	return with(ctx, StartViewServer, r.o.Executable, func(c *Child) error {
		l, err := r.newLag(ctx, c)
		if err != nil {
			return err
		}
		defer l.close()
		for i := range r.plan.views.slowRounds {
			if err := l.round(ctx, i); err != nil {
				return err
			}
		}
		r.addViews(lagFigures(&l.lag)...)
		return nil
	})
}

// idlingViews measures the memory of connections that watch something where nothing happens.
func (r *reporter) idlingViews(ctx context.Context) error {
	p := r.plan.views
	return with(ctx, StartViewServer, r.o.Executable, func(c *Child) error {
		result, err := r.run(ctx, fmt.Sprintf("idle, %d connections", p.idle), nameViews, Idle, c,
			Options{Connections: p.idle, Channels: 100, Settle: p.settle, Views: true})
		if err == nil {
			r.addViews(idleViewsFigure(result, r.idling))
		}
		return err
	})
}
