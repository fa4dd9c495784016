package channel

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// Event is a validated publish to one channel.
type Event struct {
	Channel string
	Name    string
	Data    []byte // a JSON string literal; kept, so it must not change afterwards
	Except  protocol.SocketID

	IsEchoed   bool                 // Except receives the event all the same
	Properties *protocol.Properties // nil for none; kept, too, and the same for several events perhaps
}

// Publish sends events in order; those to cache channels that are not ephemeral also become the cached value. It
// waits for room for all of them until ctx ends (bus.ErrBackpressure), before anything is
// sent. After an error nothing was sent, save that after bus.ErrUncertain all or some may have
// been.
func (e *Engine) Publish(ctx context.Context, a *app.App, events []Event) error {
	batch := newBatch(len(events))
	for i := range events {
		events[i].item(a, &batch.Items[i])
	}
	published, err := e.bus.Publish(ctx, batch)
	if err != nil {
		return fmt.Errorf("channel: publish: %w", err)
	}
	return e.outcome(&published, len(events))
}

// newBatch makes a batch of n items, each with a publication. The usual single one is one object.
func newBatch(n int) *bus.Batch {
	if n == 1 {
		one := &struct {
			batch       bus.Batch
			items       [1]bus.Item
			publication protocol.Publication
		}{}
		one.batch.Items, one.items[0].Publication = one.items[:], &one.publication
		return &one.batch
	}
	batch := &bus.Batch{Items: make([]bus.Item, n)}
	for i := range batch.Items {
		batch.Items[i].Publication = new(protocol.Publication)
	}
	return batch
}

// item makes ev the item of a batch.
func (ev *Event) item(a *app.App, it *bus.Item) {
	p := it.Publication
	p.Topic = protocol.ChannelTopic(a.ID, ev.Channel)
	p.Event, p.Data, p.Except = ev.Name, ev.Data, ev.Except
	p.IsEchoed, p.Properties = ev.IsEchoed, ev.Properties
	if room.KindOf(ev.Channel).HasCache() && !p.IsEphemeral() {
		it.Retain = a.Limits.CacheTTL
	}
}

// outcome counts what was published. If owners differ, a repetition of all would deliver some of it
// twice: then the whole is uncertain.
func (e *Engine) outcome(p *bus.Published, events int) (err error) {
	for i := range p.Outcomes {
		if p.Outcomes[i] != nil {
			events--
			err = fmt.Errorf("channel: publish: %w: event %d: %w", bus.ErrUncertain, i, p.Outcomes[i])
		}
	}
	e.metrics.publishedAPI.Add(float64(events))
	return err
}
