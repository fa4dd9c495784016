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
}

// Publish sends events in order; those to cache channels also become the cached value. It
// waits for room for all of them until ctx ends (hub.ErrBackpressure), before anything is
// sent. Another error comes from the bus: events before the one that failed were sent.
func (e *Engine) Publish(ctx context.Context, a *app.App, events []Event) error {
	size := 0
	for i := range events {
		p := events[i].publication(a)
		size += p.Size()
	}
	if err := e.hub.Reserve(ctx, size); err != nil {
		return fmt.Errorf("channel: publish: %w", err)
	}
	for i := range events {
		kind, retention := room.KindOf(events[i].Channel), bus.Retention{}
		if kind.HasCache() {
			retention.TTL = a.Limits.CacheTTL
		}
		p := events[i].publication(a)
		if _, err := e.bus.Publish(ctx, &p, retention); err != nil {
			return fmt.Errorf("channel: publish: %w", err)
		}
		e.metrics.publishedAPI.Inc()
	}
	return nil
}

func (ev *Event) publication(a *app.App) protocol.Publication {
	return protocol.Publication{
		Topic: protocol.Topic{App: a.ID, Name: ev.Channel}, Event: ev.Name, Data: ev.Data, Except: ev.Except,
	}
}
