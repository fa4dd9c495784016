// Package projection turns events published to channels into mutations of entities, by
// rules, so that existing publishers feed views without a line of code.
//
// It owns the rules and the reading of events. It must never know connections or how
// mutations and events travel: it stands between the HTTP API and the channel engine, and
// hands mutations to the owner of entities. Events of clients do not come this way.
//
// It starts no goroutine. The mutations of one publish are applied, in the order of its
// events, before the events go out. When they cannot be stored the publish is refused whole.
// When they were stored and the events then find no room, the publisher is told to try
// again, and its mutations are applied again: only appended elements show that.
package projection

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/limit"
)

// Entities applies mutations; see [owner.Owner].
type Entities interface {
	Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error)
}

// Publisher takes the events of a publish; see [channel.Engine.Publish].
type Publisher interface {
	Publish(ctx context.Context, a *app.App, events []channel.Event) error
}

var (
	_ Entities  = (*owner.Owner)(nil)
	_ Publisher = (*channel.Engine)(nil)
	_ Publisher = (*Projector)(nil)
)

const (
	defaultMaxBatch = 1000
	logInterval     = 10 * time.Second
)

// Options of a Projector. Zero fields mean the default.
type Options struct {
	// Reserve waits until there is room for what a batch will publish, before it is applied;
	// default not at all. Its error refuses the publish.
	Reserve func(ctx context.Context, b *entity.Batch) error

	MaxBatch int              // mutations that are applied together; default 1000
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // default none
	Metrics  *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Rules is the compiled list of rules of one app. It is immutable.
type Rules struct {
	list []*rule
}

// Compile makes rules ready, nil if there are none. The error joins everything wrong with them,
// each a [RuleError].
func Compile(rules []Rule) (*Rules, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	compiled := &Rules{}
	var problems []error
	for i := range rules {
		r, err := compile(i, &rules[i])
		problems = append(problems, err)
		compiled.list = append(compiled.list, r)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return compiled, nil
}

// Projector is a publisher whose publishes feed views: it applies rules, and hands the events on. It
// is safe for concurrent use.
type Projector struct {
	next     Publisher
	entities Entities
	rules    func(appID string) *Rules
	o        Options // immutable
	log      limit.Sampler
}

// New makes a projector in front of next. rules returns the present rules of an app, nil for none; it
// is called for every publish.
func New(next Publisher, rules func(appID string) *Rules, entities Entities, o Options) *Projector {
	return &Projector{next: next, entities: entities, rules: rules, o: o.withDefaults(), log: limit.Sampler{Every: logInterval}}
}

// Publish applies the mutations that follow from events, then publishes them. An app without
// rules pays for one look.
//
//millrace:hot BenchmarkPublish TestPublishAllocs
func (p *Projector) Publish(ctx context.Context, a *app.App, events []channel.Event) error {
	if rules := p.rules(a.ID); rules != nil {
		if err := p.project(ctx, a.ID, rules.list, events); err != nil {
			return err
		}
	}
	return p.next.Publish(ctx, a, events)
}

func (p *Projector) project(ctx context.Context, appID string, rules []*rule, events []channel.Event) error {
	var mutations []entity.Mutation
	var read reading // of the data that an event shares with the one before it, on another channel
	for i := range events {
		e := &events[i]
		for _, r := range rules {
			if !r.concerns(e.Name) {
				continue
			}
			first, ok := r.channels.match(e.Channel)
			if !ok {
				continue
			}
			read.of(e.Data)
			m, reason := r.mutation(&read, e, first)
			if reason != "" {
				p.skip(appID, r.Entity, e.Channel, reason)
				continue
			}
			mutations = append(mutations, m)
		}
	}
	for chunk := range slices.Chunk(mutations, p.o.MaxBatch) {
		if err := p.apply(ctx, appID, chunk); err != nil {
			return err
		}
	}
	return nil
}

// apply applies mutations without those that the engine finds wrong.
func (p *Projector) apply(ctx context.Context, appID string, mutations []entity.Mutation) error {
	for len(mutations) > 0 {
		b := &entity.Batch{App: appID, Mutations: mutations}
		if p.o.Reserve != nil {
			if err := p.o.Reserve(ctx, b); err != nil {
				return err
			}
		}
		_, err := p.entities.Apply(ctx, b)
		refused, isRefused := errors.AsType[*entity.Error](err)
		if !isRefused {
			if err == nil {
				p.o.Metrics.mutations.Add(float64(len(mutations)))
			}
			return err
		}
		if refused.Index < 0 || refused.Index >= len(mutations) {
			return err
		}
		p.skip(appID, mutations[refused.Index].Type, "", skipRefused)
		mutations = slices.Concat(mutations[:refused.Index], mutations[refused.Index+1:])
	}
	return nil
}

// skip notes an event that a rule could not use.
func (p *Projector) skip(appID, entityType, channelName string, reason skipReason) {
	p.o.Metrics.skipped.WithLabelValues(string(reason)).Inc()
	if more, ok := p.log.Pass(p.o.Now()); ok {
		p.o.Log.Warn("events not projected", "app", appID, "entity", entityType, "channel", channelName, "reason", string(reason), "count", more+1)
	}
}
