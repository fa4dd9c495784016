package entity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
)

// Receiver is told of changes, with the type locked exclusively, in the order of their
// numbers, after they are stored. The state of the type is the one after all of them. It must
// not block, and not keep the slice.
type Receiver interface {
	Changed(t *Type, changes []Change)
}

// Options of an Engine. Zero fields mean the default.
type Options struct {
	Store         Store            // default none: memory only
	Now           func() time.Time // default time.Now
	Tag           func() uint64    // of this run, 1 to 999,999; default random
	MaxArray      int              // elements kept of an array in an entity, the newest; default 100 (live-views 5.6)
	MaxDepth      int              // nesting of data; default 64
	MaxSize       int              // bytes of an entity; default 1 MiB
	MaxKey        int              // bytes of a key; default 1024
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
	o.MaxKey = orDefault(o.MaxKey, 1024)
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

// Engine applies batches in one order. Apply, Declare, Hold, Release, Find, Types and Knows are safe
// for concurrent use; Load comes before all else, and Run is called once.
type Engine struct {
	o         Options // immutable
	types     registry
	runs      runs
	queue     *commit.Queue[*pending]
	preparers sync.Pool // of *preparer
	applier   applier   // Load's, then Run's
}

// New makes an engine without entities.
func New(o Options) *Engine {
	o = o.withDefaults()
	e := &Engine{
		o:     o,
		runs:  runs{byTag: map[uint64]Run{}},
		types: registry{types: map[typeID]*Type{}},
		queue: commit.New[*pending](commit.Options{
			Max:   commit.Size{Bytes: o.MaxWaiting},
			Group: commit.Size{Entries: maxGroup},
			// A group is memory too, until its callers have their answers.
			HoldsGroup: true,
			Waiting:    func(bytes int) { o.Metrics.waiting.Set(float64(bytes)) },
		}),
	}
	e.preparers.New = func() any { return &preparer{o: &e.o, pending: pending{ticket: commit.NewTicket()}} }
	e.applier = applier{
		Engine:   e,
		merger:   merger{maxArray: o.MaxArray},
		receipts: receipts{max: o.MaxReceipts, byID: map[receiptID]noted{}},
		group:    1,
	}
	if o.Store == nil {
		e.begin()
	}
	return e
}

// Declare finds or makes a type, which stays. The name must pass CheckType.
func (e *Engine) Declare(app, name string) *Type {
	if t, isKnown := e.types.find(app, name); isKnown {
		return t
	}
	return e.types.declare(app, name)
}

// Hold finds or makes a type that need not stay: without an entity, and not declared, it is gone with
// the last Release. Until then it is the one that changes are applied to. The name must pass CheckType.
func (e *Engine) Hold(app, name string) *Type { return e.types.hold(app, name) }

// Release undoes one Hold.
func (e *Engine) Release(t *Type) { e.types.release(t) }

// Find is nil for a type that was not declared, never had an entity and is not held.
func (e *Engine) Find(app, name string) *Type {
	t, isKnown := e.types.find(app, name)
	if isKnown || t != nil && t.holders.Load() > 0 {
		return t
	}
	return nil
}

// MaxKey is how many bytes the key of an entity may have.
func (e *Engine) MaxKey() int { return e.o.MaxKey }

// Types lists those of an app that Find finds, by name.
func (e *Engine) Types(app string) []*Type { return e.types.of(app) }

// Apply returns when the batch is stored and its changes have been handed to the receiver.
// Its cursor is that of its changes or, when it changed nothing, that of the last change
// before it.
//
// Errors: *Error, ErrBackpressure, ErrClosed, ErrNotStored with the store's: then nothing was changed. Or ctx's:
// then nothing was changed, unless it is commit.ErrUncertain too: the applier had the batch
// already, or has failed. Apply keeps Append of the mutations and nothing else of b.
func (e *Engine) Apply(ctx context.Context, b *Batch) (Seq, error) {
	seq, err := e.apply(ctx, b)
	if err != nil {
		e.o.Metrics.refuse(err)
	}
	return seq, err
}

//millrace:hot BenchmarkApply TestApplyAllocs
func (e *Engine) apply(ctx context.Context, b *Batch) (Seq, error) {
	if err := ctx.Err(); err != nil {
		return Seq{}, err
	}
	if err := e.queue.Admits(commit.Size{}); err != nil {
		return Seq{}, refused(err)
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
	return Seq{}, refused(err)
}

// refused says in the words of this package why a batch was not applied.
func refused(err error) error {
	switch {
	case errors.Is(err, commit.ErrFull):
		return ErrBackpressure
	case errors.Is(err, commit.ErrClosed):
		return ErrClosed
	}
	return err
}

func (e *Engine) giveBack(p *preparer) {
	p.reset()
	e.preparers.Put(p)
}

// Run applies until ctx ends, then what waits. r is told of every change. An error says that the
// engine has failed: what it holds may not be what is stored, and the process has to end.
func (e *Engine) Run(ctx context.Context, r Receiver) error {
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
