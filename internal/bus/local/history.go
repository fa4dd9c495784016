package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// ErrNoLog: the bus keeps nothing, because it has no log.
var ErrNoLog = errors.New("bus: there is no log to read")

// change is a reset, a purge, or another setting.
type change struct {
	setting *setting // instead of the others
	topic   protocol.Topic
	isReset bool
	purge   log.Purge
	log.Removal
}

// Stream is the state of a channel that is kept, as of all that was answered before.
func (b *Bus) Stream(ctx context.Context, t protocol.Topic) (log.Stream, error) {
	if hasEnded, err := b.hasEnded(ctx, t); err != nil || hasEnded {
		return log.Stream{}, err
	}
	return b.keeper.log.Stream(ctx, t)
}

// Page reads a part of a channel that is kept, as of all that was answered before.
func (b *Bus) Page(ctx context.Context, t protocol.Topic, q log.Query) (log.Page, error) {
	if hasEnded, err := b.hasEnded(ctx, t); err != nil || hasEnded {
		return log.Page{}, err
	}
	return b.keeper.log.Page(ctx, t, q)
}

// hasEnded reports whether what the log has of a topic is of a stream that has ended, or of an app that is not
// kept.
func (b *Bus) hasEnded(ctx context.Context, t protocol.Topic) (bool, error) {
	if b.keeper.log == nil {
		return false, ErrNoLog
	}
	kept := b.kept.Load()
	if kept == nil {
		return true, nil
	}
	since, isKept := (*kept)[t.App]
	if !isKept || since == 0 {
		return !isKept, nil
	}
	end, err := b.keeper.log.End(ctx, t)
	return end.Last <= since, err
}

// Reset removes what is kept of a channel and begins another stream.
func (b *Bus) Reset(ctx context.Context, t protocol.Topic) (log.Removal, error) {
	return b.keeper.change(ctx, &change{topic: t, isReset: true})
}

// Purge removes what is kept of a channel up to a bound. Its stream goes on.
func (b *Bus) Purge(ctx context.Context, t protocol.Topic, p log.Purge) (log.Removal, error) {
	return b.keeper.change(ctx, &change{topic: t, purge: p})
}

// change carries one out after all that was put before it, in a group of its own.
func (k *keeper) change(ctx context.Context, c *change) (log.Removal, error) {
	if k.log == nil {
		return log.Removal{}, ErrNoLog
	}
	if err := k.do(ctx, &keeping{change: c, ticket: commit.NewTicket()}, groupBytes+1); err != nil {
		return log.Removal{}, err
	}
	return c.Removal, nil
}

// decideChange stores a change by itself, and reads what it has made of the topic.
func (k *keeper) decideChange(ctx context.Context, w *keeping) (err error) {
	c := w.change
	if c.setting != nil {
		return k.decideSetting(ctx, c.setting)
	}
	k.changed = append(k.changed, c.topic)
	if c.Was, err = k.bus.Stream(ctx, c.topic); err != nil {
		return err
	}
	r := log.Record{Topic: c.topic, Kind: log.KindReset, StreamID: uuid.NewString()}
	if !c.isReset {
		r.Kind, r.StreamID = log.KindPurge, c.Was.ID
		if r.Before, err = k.bound(ctx, c); err != nil {
			return err
		}
	}
	if c.isReset || r.Before > c.Was.Oldest {
		k.records = append(k.records, r)
		if err := k.append(ctx); err != nil {
			return err
		}
		k.records = k.records[:0]
	}
	if c.Is, err = k.bus.Stream(ctx, c.topic); err != nil {
		return fmt.Errorf("%w: %w", log.ErrUncertain, err)
	}
	return nil
}

// bound is the first serial that a purge leaves.
func (k *keeper) bound(ctx context.Context, c *change) (uint64, error) {
	before := c.Was.Next
	if c.purge.BeforeSerial > 0 {
		before = min(before, c.purge.BeforeSerial)
	}
	if c.purge.BeforeTime <= 0 {
		return before, nil
	}
	page, err := k.bus.Page(ctx, c.topic, log.Query{Since: c.purge.BeforeTime, Limit: 1})
	if err == nil && len(page.Publications) > 0 {
		before = min(before, page.Publications[0].Serial)
	}
	return before, err
}

// install forgets where streams go on that a change has concerned.
func (k *keeper) install(c *change) {
	if c.setting == nil {
		delete(k.places, c.topic)
		k.bus.forgetStream(&c.topic)
		return
	}
	clear(k.places)
	k.bus.setKept(c.setting.since)
}
