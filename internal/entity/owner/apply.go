package owner

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/limit"
)

var _ commit.Committer[*pending] = (*applier)(nil)

// applier works through the queue. One goroutine owns it.
type applier struct {
	o        *Options
	state    *entity.State
	install  func(*entity.Decisions, entity.Receiver) error // state's
	decider  decider
	receiver entity.Receiver
	unstored limit.Sampler // of lines about groups that were not stored
	commit   Commit        // of the group
}

// Store decides the batches and makes the group durable. It implements commit.Committer.
func (a *applier) Store(ctx context.Context, batches []*pending) error {
	now := a.o.Now()
	mutations := a.decider.decide(batches, now)
	for _, p := range batches {
		if p.refusal != nil {
			p.ticket.Answer(p.refusal)
		}
	}
	a.o.Metrics.group.Observe(float64(mutations))
	err := a.store(ctx, now)
	if err == nil {
		return nil
	}
	if skipped, ok := a.unstored.Pass(now); ok {
		a.o.Log.Error("mutations refused: they cannot be stored", "mutations", mutations, "more_since_last", skipped, "err", err)
	}
	return fmt.Errorf("%w: entity: commit: %w", entity.ErrNotStored, err)
}

// Install makes the group the state and tells the receiver. It implements commit.Committer.
func (a *applier) Install(_ context.Context, batches []*pending) {
	for _, x := range a.decider.opened {
		if len(x.decided.List) == 0 {
			continue
		}
		a.o.Metrics.count(x.decided.List)
		if err := a.install(&x.decided, a.receiver); err != nil {
			panic(err) // the state is not the one that was decided about: no caller may rely on it any more
		}
	}
	a.decider.closeGroup()
	for _, p := range batches {
		a.o.Metrics.answer(p)
	}
}

// Refuse forgets what was decided. Batches that have an answer which does not depend on the group
// keep it. It implements commit.Committer.
func (a *applier) Refuse(batches []*pending, _ error) time.Duration {
	a.decider.takeBack()
	for _, p := range batches {
		if p.isRepeat && p.group != a.decider.group {
			p.ticket.Answer(nil)
			a.o.Metrics.answer(p)
		}
	}
	a.decider.closeGroup()
	return 0
}

// store makes the group durable.
func (a *applier) store(ctx context.Context, now time.Time) error {
	if a.o.Store == nil {
		return nil
	}
	c := &a.commit
	c.Now = now
	for _, x := range a.decider.opened {
		x.appendTo(c)
	}
	c.Receipts = append(c.Receipts, a.decider.receipts.latest(a.decider.notes)...)
	defer c.reset()
	if len(c.Records)+len(c.Receipts)+len(c.Forget) == 0 {
		return nil
	}
	start := time.Now()
	err := a.o.Store.CommitEntities(ctx, c)
	a.o.Metrics.commit.Observe(time.Since(start).Seconds())
	return err
}

// reset keeps the room, but not what is in it.
func (c *Commit) reset() {
	clear(c.Records)
	clear(c.Receipts)
	clear(c.Forget)
	*c = Commit{Records: c.Records[:0], Receipts: c.Receipts[:0], Forget: c.Forget[:0]}
}
