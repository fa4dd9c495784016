package server

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
)

// Most channels of one connection in an answer, in a list and alone.
const (
	maxListedChannels = 20
	maxShownChannels  = 1000
)

// connections answers for the open connections of all protocols.
type connections struct{ protocols []protocolSessions }

// protocolSessions is what the sessions of each protocol answer.
type protocolSessions interface {
	List(ctx context.Context, appID string, q *session.Query) ([]session.Info, error)
	Group() *session.Group
}

var _ operators.Connections = (*connections)(nil)

// connections is made once the sessions of each protocol are.
func (s *Server) connections() *connections {
	c := &connections{protocols: []protocolSessions{s.channelSessions}}
	if s.viewSessions != nil {
		c.protocols = append(c.protocols, s.viewSessions)
	}
	return c
}

// List merges what the protocols find.
func (c *connections) List(ctx context.Context, appID string, q operators.ConnectionQuery) ([]operators.Connection, error) {
	inner := session.Query{UserID: q.UserID, Channel: q.Channel, After: q.After, Limit: q.Limit}
	if q.IP != "" {
		ip, _ := netip.ParseAddr(q.IP) // where the text is none
		if !ip.IsValid() {
			return nil, nil // no connection is from there
		}
		inner.IP = ip.Unmap()
	}
	var all []operators.Connection
	for _, f := range c.protocols {
		if q.Protocol != "" && q.Protocol != string(f.Group().Name()) {
			continue
		}
		found, err := f.List(ctx, appID, &inner)
		if err != nil {
			return nil, err
		}
		for i := range found {
			all = append(all, connection(&found[i], maxListedChannels))
		}
	}
	slices.SortFunc(all, func(a, b operators.Connection) int { return strings.Compare(a.SocketID, b.SocketID) })
	return all[:min(len(all), q.Limit)], nil
}

// Find looks for one connection.
func (c *connections) Find(_ context.Context, appID, socketID string) (operators.Connection, error) {
	id, _ := protocol.ParseSocketID(socketID) // no connection has the zero id
	for _, f := range c.protocols {
		if found, ok := f.Group().Find(appID, id); ok {
			return connection(&found, maxShownChannels), nil
		}
	}
	return operators.Connection{}, operators.ErrNoConnection
}

// Close ends one connection for good.
func (c *connections) Close(_ context.Context, appID, socketID string) error {
	id, _ := protocol.ParseSocketID(socketID)
	for _, f := range c.protocols {
		if f.Group().End(appID, id) {
			return nil
		}
	}
	return operators.ErrNoConnection
}

// Trace logs the frames of one connection.
func (c *connections) Trace(_ context.Context, appID, socketID string, duration time.Duration) error {
	id, _ := protocol.ParseSocketID(socketID)
	for _, f := range c.protocols {
		switch err := f.Group().Trace(appID, id, duration); {
		case err == nil:
			return nil
		case errors.Is(err, socket.ErrTooManyTraces):
			return operators.ErrTooManyTraces
		}
	}
	return operators.ErrNoConnection
}

// connection is i as the HTTP API tells it, with so many of its channels.
func connection(i *session.Info, channels int) operators.Connection {
	c := operators.Connection{
		SocketID: i.SocketID.String(),
		Protocol: string(i.Protocol),
		UserID:   i.UserID,
		Key:      i.Key,
		Since:    i.Opened,
		Channels: i.Channels[:min(len(i.Channels), channels)],
		Total:    len(i.Channels),
		Waiting:  i.Waiting,
		IsTraced: i.IsTraced,
	}
	if i.IP.IsValid() {
		c.IP = i.IP.String()
	}
	return c
}
