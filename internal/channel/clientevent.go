package channel

import (
	"bytes"
	"context"
	"errors"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// refusal says why a client event was not relayed: a metric label.
type refusal string

const (
	refusedFeature      refusal = "feature_off"
	refusedChannel      refusal = "channel_missing"
	refusedName         refusal = "name_too_long"
	refusedKind         refusal = "channel_kind"
	refusedSize         refusal = "data_too_large"
	refusedSubscription refusal = "not_subscribed"
	refusedBackpressure refusal = "backpressure"
	refusedUnavailable  refusal = "unavailable"
	refusedUncertain    refusal = "uncertain"
	refusedInternal     refusal = "internal"
)

// ClientEvent checks an event that c's client sent, whose rate the caller has checked, and
// relays it to the other subscribers (pusher 3, rows 3 to 8). It waits for room in
// the fan-out until ctx ends. A returned error was not sent; then the event was not delivered.
func (e *Engine) ClientEvent(ctx context.Context, c *Connection, cmd *protocol.Command) *protocol.Error {
	s, why, perr := c.checkClientEvent(cmd)
	if perr == nil {
		why, perr = e.relay(ctx, c, s, cmd)
	}
	if perr != nil {
		e.metrics.refused.WithLabelValues(string(why)).Inc()
		return perr
	}
	e.metrics.publishedClient.Inc()
	return nil
}

func (c *Connection) checkClientEvent(cmd *protocol.Command) (*subscription, refusal, *protocol.Error) {
	limits, refused := &c.app.Limits, protocol.ErrClientEvent
	switch {
	case !c.app.Features.ClientEvents:
		return nil, refusedFeature, refused.Withf("Client events are off for this app; turn them on in its settings")
	case !cmd.HasChannel:
		return nil, refusedChannel, refused.Withf("The client event has no channel; add the name of one as a string")
	case limits.MaxEventNameLength > 0 && len(cmd.Event) > limits.MaxEventNameLength:
		return nil, refusedName, refused.Withf("The event name has %d bytes; use at most %d", len(cmd.Event), limits.MaxEventNameLength)
	case !room.KindOf(cmd.Channel).AllowsClientEvents():
		return nil, refusedKind, refused.Withf("Client events need a private or presence channel that is not encrypted")
	case !fits(cmd.Data, limits.MaxEventPayload):
		return nil, refusedSize, refused.Withf("The data of the client event has more than %d bytes; send less", limits.MaxEventPayload)
	}
	s := c.subs.Get(cmd.Channel)
	if s == nil {
		return nil, refusedSubscription, refused.Withf("Subscribe to the channel before sending client events to it")
	}
	return s, "", nil
}

func (e *Engine) relay(ctx context.Context, c *Connection, s *subscription, cmd *protocol.Command) (refusal, *protocol.Error) {
	p := &protocol.Publication{
		Topic:         s.channel.topic,
		Event:         cmd.Event,
		Data:          bytes.Clone(cmd.Data), // the frame is borrowed, the publication stays
		IsClientEvent: true,
		Except:        c.ID(),
		IsEchoed:      cmd.IsEchoed,
		Properties:    cmd.Properties,
	}
	_, err := e.bus.Publish(ctx, &bus.Batch{Items: []bus.Item{{Publication: p}}})
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, bus.ErrBackpressure):
		return refusedBackpressure, protocol.ErrClientEvent.Withf("The server is busy; send the client event again later")
	case errors.Is(err, bus.ErrUnavailable):
		return refusedUnavailable, protocol.ErrClientEvent.Withf("The channel cannot be reached right now; send the client event again later")
	case errors.Is(err, bus.ErrUncertain):
		return refusedUncertain, protocol.ErrClientEvent.Withf("The client event may or may not have been delivered; send it again if it may come twice")
	}
	e.log.Error("client event not published", "app", p.Topic.App, "err", err)
	return refusedInternal, protocol.ErrClientEvent.Withf("The client event could not be delivered; send it again later")
}
