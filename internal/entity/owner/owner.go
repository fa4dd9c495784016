package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/entity"
)

// Options of an Owner. Zero fields mean the default.
type Options struct {
	Store         Store            // default none: memory only
	Now           func() time.Time // default time.Now
	Tag           func() uint64    // of this run, 1 to entity.MaxTag; default random
	MaxArray      int              // elements kept of an array in an entity, the newest; default 100 (views 5.6)
	MaxDepth      int              // nesting of data; default 64
	MaxSize       int              // bytes of an entity; default 1 MiB
	MaxKey        int              // bytes of a key; default entity.DefaultMaxKey
	MaxBatch      int              // mutations of a batch; default 1000
	MaxWaiting    int              // bytes of data that wait to be applied; default 16 MiB, beyond: ErrBackpressure
	MaxTombstones int              // per type; default 10000
	ReceiptTTL    time.Duration    // default 24 h
	MaxReceipts   int              // idempotency keys that are remembered, the newest; default 100,000
	Log           *slog.Logger     // default none
	Metrics       *Metrics         // default unregistered
}

// maxGroup is how many mutations are taken together, if it is more than one batch: enough to
// share a flush, not so many that the first waits long for the last.
const maxGroup = 4096

// maxBytes is the most that options may allow to wait: offsets in a batch are 32 bits.
const maxBytes = 1 << 29

func (o Options) withDefaults() Options {
	o.MaxArray = orDefault(o.MaxArray, 100)
	o.MaxDepth = orDefault(o.MaxDepth, 64)
	o.MaxSize = min(orDefault(o.MaxSize, 1<<20), maxBytes)
	o.MaxKey = orDefault(o.MaxKey, entity.DefaultMaxKey)
	o.MaxBatch = orDefault(o.MaxBatch, 1000)
	o.MaxWaiting = min(orDefault(o.MaxWaiting, 16<<20), maxBytes)
	o.MaxTombstones = orDefault(o.MaxTombstones, 10_000)
	o.ReceiptTTL = orDefault(o.ReceiptTTL, 24*time.Hour)
	o.MaxReceipts = orDefault(o.MaxReceipts, 100_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tag == nil {
		o.Tag = drawTag
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

func orDefault[T int | time.Duration](value, preset T) T {
	if value <= 0 {
		return preset
	}
	return value
}

// Owner applies batches in one order. Apply is safe for concurrent use; Load comes before all else,
// and Run is called once.
type Owner struct {
	o         Options // immutable
	queue     *commit.Queue[*pending]
	preparers sync.Pool // of *preparer
	applier   applier   // Load's, then Run's
}

// New makes an engine over a state, which is empty and which nothing else changes.
func New(s *entity.State, o Options) *Owner {
	o = o.withDefaults()
	e := &Owner{
		o: o,
		queue: commit.New[*pending](commit.Options{
			Max:   commit.Size{Bytes: o.MaxWaiting},
			Group: commit.Size{Entries: maxGroup},
			// A group is memory too, until its callers have their answers.
			HoldsGroup: true,
			IsInstant:  o.Store == nil,
			Waiting:    func(bytes int) { o.Metrics.waiting.Set(float64(bytes)) },
		}),
	}
	e.preparers.New = func() any { return &preparer{o: &e.o, pending: pending{ticket: commit.NewTicket()}} }
	e.applier = applier{o: &e.o, state: s, install: s.Install, decider: newDecider(&e.o, s)}
	if o.Store == nil {
		e.applier.begin(nil)
	}
	return e
}

// Apply returns when the batch is stored and its changes have been handed to the receiver.
// Its cursor is the position of its changes or, when it changed nothing, of the last change
// before it.
//
// Errors: *entity.Error, entity.ErrBackpressure, entity.ErrClosed, entity.ErrNotStored with the store's: then
// nothing was changed. Or ctx's: then nothing was changed, unless it is commit.ErrUncertain too: the
// applier had the batch already, or has failed. Without a Store ctx counts at the beginning only: no answer is
// long in coming. Apply keeps Append of the mutations and nothing else of b.
func (e *Owner) Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error) {
	seq, err := e.apply(ctx, b)
	if err != nil {
		e.o.Metrics.refuse(err)
	}
	return seq, err
}

//millrace:hot BenchmarkApply TestApplyAllocs
func (e *Owner) apply(ctx context.Context, b *entity.Batch) (entity.Seq, error) {
	if err := ctx.Err(); err != nil {
		return entity.Seq{}, err
	}
	if err := e.queue.Admits(commit.Size{}); err != nil {
		return entity.Seq{}, refused(err)
	}
	// Preparers are lent: they are a third of what a mutation allocates. One that the applier
	// may still have is not given back.
	p := e.preparers.Get().(*preparer)
	err := p.prepare(b)
	if err == nil {
		err = e.queue.Do(ctx, &p.pending, commit.Size{Bytes: p.size, Entries: len(p.mutations)}, p.ticket)
	}
	if err == nil {
		seq := p.seq
		e.giveBack(p)
		return seq, nil
	}
	if !errors.Is(err, commit.ErrUncertain) {
		e.giveBack(p)
	}
	return entity.Seq{}, refused(err)
}

// refused says in the words of package entity why a batch was not applied.
func refused(err error) error {
	switch {
	case errors.Is(err, commit.ErrFull):
		return entity.ErrBackpressure
	case errors.Is(err, commit.ErrClosed):
		return entity.ErrClosed
	}
	return err
}

func (e *Owner) giveBack(p *preparer) {
	p.reset()
	e.preparers.Put(p)
}

// Run applies until ctx ends, then what waits. r is told of every change. An error says that the
// engine has failed: what it holds may not be what is stored, and the process has to end.
func (e *Owner) Run(ctx context.Context, r entity.Receiver) error {
	a := &e.applier
	a.receiver = r
	err := e.queue.Serve(ctx, a)
	e.queue.Close()
	if err == nil {
		err = e.queue.Finish(context.WithoutCancel(ctx), a)
	}
	if err != nil {
		return fmt.Errorf("entity: %w", err)
	}
	return nil
}
