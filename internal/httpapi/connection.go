package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/protocol"
)

// Connection is an open connection, as an operator sees it.
type Connection struct {
	SocketID string    // as clients see it
	Protocol string    // channels or views
	IP       string    // after trusted proxies
	UserID   string    // signed in as; or the subject of the session's token; may be empty
	Key      string    // by which the client named the app; empty for views
	Since    time.Time // accepted
	Channels []string  // or views, sorted; at most as many as asked for
	Total    int       // how many there are
	Waiting  int       // bytes queued
	IsTraced bool      // its frames are logged
}

// ConnectionQuery selects connections of an app. Zero fields select all.
type ConnectionQuery struct {
	Protocol, IP, UserID, Channel string

	After string // a socket id: those whose ids come after it, as texts
	Limit int    // above zero
}

// Connections answers for the open connections of this node.
type Connections interface {
	// List selects connections, by socket id, at most q.Limit. Connections that end during the call
	// may be missing.
	List(ctx context.Context, appID string, q ConnectionQuery) ([]Connection, error)
	// Find returns one connection; false when there is none.
	Find(ctx context.Context, appID, socketID string) (Connection, bool)
	// Close ends a connection for good: clients do not reconnect by themselves. False when
	// there is none.
	Close(appID, socketID string) bool
	// Trace logs every frame of a connection from now for so long; zero ends it. It fails with
	// ErrNoConnection or ErrTooManyTraces only.
	Trace(appID, socketID string, duration time.Duration) error
}

// Why a connection is not traced.
var (
	ErrNoConnection  = errors.New("httpapi: there is no such connection")
	ErrTooManyTraces = errors.New("httpapi: too many connections are traced already")
)

const maxTrace = time.Hour

// listConnections is GET /apps/{app_id}/connections.
func (h *handler) listConnections(ctx context.Context, c *call) *failure {
	q, f := c.connectionQuery()
	if f != nil {
		return f
	}
	limit := q.Limit
	q.Limit++ // to see whether there are more
	list, err := h.o.Connections.List(ctx, c.app.ID, q)
	if err != nil {
		h.o.Log.Error("connections not listed", "app", c.app.ID, "err", err)
		return fail(codeUnavailable, "The connections cannot be listed right now; try again").because(causeConnections)
	}
	c.out = append(c.out, `{"connections":[`...)
	for i := range list[:min(limit, len(list))] {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = appendConnection(c.out, &list[i])
	}
	c.out = append(c.out, ']')
	if len(list) > limit {
		c.out = appendText(c.out, "next", list[limit-1].SocketID)
	}
	c.out = append(c.out, '}')
	return nil
}

// connectionQuery is what the query string selects.
func (c *call) connectionQuery() (q ConnectionQuery, f *failure) {
	for name, field := range map[string]*string{
		"protocol": &q.Protocol, "ip": &q.IP, "user_id": &q.UserID, "channel": &q.Channel, "after": &q.After,
	} {
		text, ok := c.query.Get(name)
		if ok && text == "" {
			return q, invalid(name + " is empty; leave it out to select all")
		}
		*field = text
	}
	if q.Protocol != "" && q.Protocol != "channels" && q.Protocol != "views" {
		return q, invalid("protocol must be channels or views")
	}
	if q.IP != "" {
		ip, err := netip.ParseAddr(q.IP)
		if err != nil {
			return q, invalid("ip must be an IP address")
		}
		q.IP = ip.Unmap().WithZone("").String() // as connections are told
	}
	if q.After != "" {
		if f := checkSocketID("after", q.After); f != nil {
			return q, f
		}
	}
	q.Limit, f = c.pageSize()
	return q, f
}

func checkSocketID(what, text string) *failure {
	if _, ok := protocol.ParseSocketID(text); !ok {
		return invalid(what + " must be a socket id: two numbers with a dot between, as the connection was given it")
	}
	return nil
}

// showConnection is GET /apps/{app_id}/connections/{socket_id}.
func (h *handler) showConnection(ctx context.Context, c *call) *failure {
	if f := checkSocketID("socket_id", c.target.name); f != nil {
		return f
	}
	found, ok := h.o.Connections.Find(ctx, c.app.ID, c.target.name)
	if !ok {
		return failNoConnection()
	}
	c.out = appendConnection(c.out, &found)
	return nil
}

// closeConnection is DELETE /apps/{app_id}/connections/{socket_id}.
func (h *handler) closeConnection(c *call) *failure {
	if f := checkSocketID("socket_id", c.target.name); f != nil {
		return f
	}
	if !h.o.Connections.Close(c.app.ID, c.target.name) {
		return failNoConnection()
	}
	c.out = append(c.out, `{"ok":true}`...)
	return nil
}

// traceConnection is POST /apps/{app_id}/connections/{socket_id}/trace.
func (h *handler) traceConnection(c *call) *failure {
	if f := checkSocketID("socket_id", c.target.name); f != nil {
		return f
	}
	duration, f := readTrace(c.bytes())
	if f != nil {
		return f
	}
	switch err := h.o.Connections.Trace(c.app.ID, c.target.name, duration); {
	case errors.Is(err, ErrTooManyTraces):
		return fail(codeConflict, "As many connections of this node are traced as may be; end one of the traces, or wait until its time is over")
	case err != nil:
		return failNoConnection()
	}
	c.out = append(c.out, `{"ok":true}`...)
	return nil
}

func failNoConnection() *failure {
	return fail(codeNotFound, "No connection of this app on this node has this socket id")
}

// readTrace reads for how long frames are to be logged.
func readTrace(body []byte) (time.Duration, *failure) {
	v, f := parseObject(body)
	if f != nil {
		return 0, f
	}
	var seconds jsontext.Value
	for name, v := range v.Members() {
		if name != "seconds" {
			return 0, invalid(fmt.Sprintf("%q means nothing here; there is seconds", shorten(name)))
		}
		seconds = v
	}
	const most = int(maxTrace / time.Second)
	n, err := strconv.Atoi(string(seconds))
	if err != nil || seconds.Kind() != jsontext.Number || n < 0 || n > most {
		return 0, invalid(fmt.Sprintf("seconds must be a whole number from 1 to %d, or 0 to end it", most))
	}
	return time.Duration(n) * time.Second, nil
}

func appendConnection(dst []byte, c *Connection) []byte {
	dst = append(dst, `{"socket_id":`...)
	dst = jsontext.AppendString(dst, c.SocketID)
	dst = appendText(dst, "protocol", c.Protocol)
	dst = appendText(dst, "ip", c.IP)
	if c.UserID != "" {
		dst = appendText(dst, "user_id", c.UserID)
	}
	if c.Key != "" {
		dst = appendText(dst, "key", c.Key)
	}
	dst = appendNumber(dst, "since_ms", c.Since.UnixMilli())
	dst = append(dst, `,"channels":[`...)
	for i, name := range c.Channels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, name)
	}
	dst = append(dst, ']')
	dst = appendNumber(dst, "total", int64(c.Total))
	dst = appendNumber(dst, "waiting_bytes", int64(c.Waiting))
	dst = append(dst, `,"is_traced":`...)
	dst = strconv.AppendBool(dst, c.IsTraced)
	return append(dst, '}')
}
