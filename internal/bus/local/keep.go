package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Log is what the bus keeps channels in.
type Log interface {
	log.Log
	log.History
	log.Streams
}

const (
	// maxWaiting is how many bytes wait to be stored, and are being stored, at most.
	maxWaiting = 16 << 20
	// groupBytes is how much is stored at once, if it is more than one batch.
	groupBytes = 256 << 10
	// itemCost is what an item counts beside its bytes.
	itemCost = 256
	// maxPlaces is how many ends of streams the keeper remembers.
	maxPlaces = 1 << 16
)

// keeper is the way of what is kept: batches wait until they are decided and stored together, and are then
// delivered.
//
// Invariants: serials are decided in the order in which batches were put, and one group is on its way to
// the log at a time, so that a later group decides the serials of one that is not stored again. What is delivered
// is stored. No lock is held over a call of the log.
type keeper struct {
	bus    *Bus             // immutable
	log    Log              // immutable; nil: nothing can be kept
	now    func() time.Time // immutable
	logger *slog.Logger     // immutable
	queue  *commit.Queue[*keeping]
	pool   sync.Pool // of *keeping

	// All owned by the goroutine that serves queue.
	places    map[protocol.Topic]*place
	changed   []protocol.Topic // whose places the group has changed
	kept      keptApps         // as the group sees them
	unsettled *setting         // that the log could not store; nil: there is none
	records   []log.Record     // of the group
	latest    int64            // the time of the last publication
	isFailing bool             // the last group was not stored
}

// place is where a topic's stream goes on.
type place struct {
	stream string
	next   uint64
}

// keeping is one call on its way through the keeper: of Publish, or of what change says. Its caller
// makes it and, until its ticket is answered, reads nothing of it.
type keeping struct {
	batch   *bus.Batch
	mask    uint64   // of the stripes of batch
	change  *change  // instead of batch
	located *located // instead of both
	ticket  *commit.Ticket
}

func (k *keeper) init(b *Bus, o *Options) {
	k.bus, k.log, k.now, k.logger = b, o.Log, o.Now, o.Logger
	k.queue = commit.New[*keeping](commit.Options{
		Max: commit.Size{Bytes: maxWaiting}, Group: commit.Size{Bytes: groupBytes}, HoldsGroup: true, Patience: time.Millisecond,
	})
	k.pool.New = func() any { return &keeping{ticket: commit.NewTicket()} }
	k.places = map[protocol.Topic]*place{}
}

// Run stores and delivers what is published to channels that are kept, until ctx ends and all of it is
// answered. Without Run, and after it, such publishes are refused or wait. An error is a panic.
func (b *Bus) Run(ctx context.Context) error {
	err := b.keeper.queue.Serve(ctx, &b.keeper)
	b.keeper.queue.Close()
	if err == nil {
		err = b.keeper.queue.Finish(context.WithoutCancel(ctx), &b.keeper)
	}
	return err
}

// publish is Publish of a batch with topics that are kept.
func (k *keeper) publish(ctx context.Context, batch *bus.Batch, mask uint64, size int) error {
	if size += itemCost * len(batch.Items); size > log.MaxGroup {
		return bus.ErrTooLarge
	}
	w := k.pool.Get().(*keeping)
	w.batch, w.mask = batch, mask
	if err := k.do(ctx, w, size); err != nil {
		return err // the keeper may still have w, so it is not lent again
	}
	w.batch = nil
	k.pool.Put(w)
	return nil
}

// do hands w to the goroutine of Run and waits for its answer.
func (k *keeper) do(ctx context.Context, w *keeping, size int) error {
	if k.log == nil && w.batch != nil {
		return bus.ErrNotStored
	}
	return refusal(k.queue.Do(ctx, w, commit.Size{Bytes: size}, w.ticket))
}

// refusal says in the words of package bus why nothing was stored.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	for _, r := range []struct{ from, to error }{
		{commit.ErrUncertain, bus.ErrUncertain},
		{log.ErrUncertain, bus.ErrUncertain},
		{commit.ErrFull, bus.ErrBackpressure},
		{log.ErrFull, bus.ErrBackpressure},
		{log.ErrTooLarge, bus.ErrTooLarge},
		{commit.ErrClosed, bus.ErrClosed},
		{log.ErrClosed, bus.ErrClosed},
		{log.ErrFenced, bus.ErrUnavailable},
	} {
		if errors.Is(err, r.from) {
			return fmt.Errorf("%w: %w", r.to, err)
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // it was not begun
	}
	return fmt.Errorf("%w: %w", bus.ErrNotStored, err)
}

// Store implements commit.Committer: it decides the group and stores it.
func (k *keeper) Store(ctx context.Context, group []*keeping) error {
	k.changed, k.kept, k.records = k.changed[:0], nil, make([]log.Record, 0, len(group))
	if kept := k.bus.kept.Load(); kept != nil {
		k.kept = *kept
	}
	if err := k.settle(ctx); err != nil {
		return err
	}
	for _, w := range group {
		decide := k.decideBatch
		switch {
		case w.change != nil:
			decide = k.decideChange
		case w.located != nil:
			decide = k.decideLocated
		}
		if err := decide(ctx, w); err != nil {
			return err
		}
	}
	return k.append(ctx)
}

func (k *keeper) append(ctx context.Context) error {
	if len(k.records) == 0 {
		return nil
	}
	tenure, _ := k.log.Tenure()
	if tenure == nil {
		return log.ErrFenced
	}
	_, err := k.log.Append(ctx, tenure, k.records)
	return err
}

// decideBatch gives each publication of a batch that is kept its place.
func (k *keeper) decideBatch(ctx context.Context, w *keeping) error {
	k.bus.nameSenders(w)
	k.latest = max(k.latest, k.now().UnixMilli())
	for i := range w.batch.Items {
		p := w.batch.Items[i].Publication
		if !k.kept.has(p) {
			continue
		}
		at, err := k.placeOf(ctx, p.Topic)
		if err != nil {
			return err
		}
		k.records = append(k.records, at.assign(p, k.latest))
		k.changed = append(k.changed, p.Topic)
	}
	return nil
}

// nameSenders names the senders of the client events of a batch.
func (b *Bus) nameSenders(w *keeping) {
	if !slices.ContainsFunc(w.batch.Items, func(it bus.Item) bool { return it.Publication.IsClientEvent }) {
		return
	}
	b.lockAll(w.mask)
	defer b.unlockAll(w.mask)
	for i := range w.batch.Items {
		b.nameSenderLocked(w.batch.Items[i].Publication)
	}
}

// placeOf is where a topic goes on. A stream that has ended is followed by another one.
func (k *keeper) placeOf(ctx context.Context, t protocol.Topic) (*place, error) {
	if at := k.places[t]; at != nil {
		return at, nil
	}
	end, err := k.log.End(ctx, t)
	if err != nil {
		return nil, err
	}
	at := &place{end.StreamID, end.Next}
	if k.hasEnded(&t, end) {
		at = newPlace()
	}
	k.places[t] = at
	return at, nil
}

// hasEnded reports whether the stream of a topic of a kept app does not go on.
func (k *keeper) hasEnded(t *protocol.Topic, end log.End) bool {
	return end.StreamID == "" || end.Last <= k.kept[t.App]
}

// Install implements commit.Committer: it delivers a group.
func (k *keeper) Install(_ context.Context, group []*keeping) {
	k.recovered()
	for _, w := range group {
		switch {
		case w.change != nil:
			k.install(w.change)
		case w.located != nil:
			k.locate(w.located)
		default:
			k.bus.publishStored(w)
		}
	}
	if len(k.places) > maxPlaces {
		clear(k.places)
	}
}

// publishStored delivers a batch. A bus that is shut down delivers nothing any more.
func (b *Bus) publishStored(w *keeping) {
	b.lockAll(w.mask)
	defer b.unlockAll(w.mask)
	if b.isClosed.Load() {
		return
	}
	for i := range w.batch.Items {
		b.publishLocked(&w.batch.Items[i])
	}
}

// Refuse implements commit.Committer: what was decided is forgotten, and read from the log again.
func (k *keeper) Refuse(group []*keeping, err error) (retry time.Duration) {
	for i := range k.changed {
		delete(k.places, k.changed[i])
	}
	for _, w := range group {
		if w.change != nil && w.change.setting != nil {
			k.setUnsettled(w.change.setting)
		}
	}
	if !k.isFailing {
		k.isFailing = true
		k.logger.Error("what is published to channels that are kept cannot be stored, and is refused", "err", err)
	}
	return 0
}

// recovered notes that a group was stored.
func (k *keeper) recovered() {
	if k.isFailing && len(k.records) > 0 {
		k.isFailing = false
		k.logger.Info("what is published to channels that are kept is stored again")
	}
}
