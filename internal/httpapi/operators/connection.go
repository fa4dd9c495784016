package operators

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
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

// Connections answers for the open connections of the cluster. Any error that is not named says that
// not all nodes could be asked.
type Connections interface {
	// List selects connections, by socket id, at most q.Limit. Connections that end during the call
	// may be missing.
	List(ctx context.Context, appID string, q ConnectionQuery) ([]Connection, error)
	// Find returns one connection, or ErrNoConnection.
	Find(ctx context.Context, appID, socketID string) (Connection, error)
	// Close ends a connection for good: clients do not reconnect by themselves. ErrNoConnection: there
	// is none.
	Close(ctx context.Context, appID, socketID string) error
	// Trace logs every frame of a connection from now for so long; zero ends it. ErrNoConnection: there
	// is none. ErrTooManyTraces: its node traces as many as it may.
	Trace(ctx context.Context, appID, socketID string, duration time.Duration) error
}

// What Connections refuses with.
var (
	ErrNoConnection  = errors.New("operators: there is no such connection")
	ErrTooManyTraces = errors.New("operators: too many connections are traced already")
)

// causeConnections: connections cannot be asked for.
const causeConnections problem.Cause = "connections_lookup"

const maxTrace = time.Hour

// connectionAnswer is a connection in an answer.
type connectionAnswer struct {
	SocketID string   `json:"socket_id"`
	Protocol string   `json:"protocol"`
	IP       string   `json:"ip"`
	UserID   string   `json:"user_id,omitempty"`
	Key      string   `json:"key,omitempty"`
	Since    int64    `json:"since_ms"`
	Channels []string `json:"channels"`
	Total    int      `json:"total"`
	Waiting  int      `json:"waiting_bytes"`
	IsTraced bool     `json:"is_traced"`
}

func connectionOf(c *Connection) connectionAnswer {
	return connectionAnswer{
		SocketID: c.SocketID, Protocol: c.Protocol, IP: c.IP, UserID: c.UserID, Key: c.Key, Since: c.Since.UnixMilli(),
		Channels: append([]string{}, c.Channels...), Total: c.Total, Waiting: c.Waiting, IsTraced: c.IsTraced,
	}
}

// listConnections is GET /apps/{app_id}/connections.
func (h *handler) listConnections(ctx context.Context, r *httpapi.Request) *problem.Problem {
	q, bad := connectionQuery(r)
	if bad != nil {
		return bad
	}
	limit := q.Limit
	q.Limit++ // to see whether there are more
	list, err := h.o.Connections.List(ctx, r.App.ID, q)
	if err != nil {
		return h.unlisted(r.App, err)
	}
	page := struct {
		Connections []connectionAnswer `json:"connections"`
		Next        string             `json:"next,omitempty"` // after which there are more
	}{Connections: []connectionAnswer{}}
	for i := range list[:min(limit, len(list))] {
		page.Connections = append(page.Connections, connectionOf(&list[i]))
	}
	if len(list) > limit {
		page.Next = list[limit-1].SocketID
	}
	return r.Answer(page)
}

// unlisted is the answer about connections that could not be asked for.
func (h *handler) unlisted(a *app.App, err error) *problem.Problem {
	switch {
	case errors.Is(err, ErrNoConnection):
		return problem.New(problem.NotFound, "No connection of this app on this node has this socket id")
	case errors.Is(err, ErrTooManyTraces):
		return problem.New(problem.Conflict, "As many connections of this node are traced as may be; end one of the traces, or wait until its time is over")
	}
	h.o.Log.Error("connections not listed", "app", a.ID, "err", err)
	return problem.New(problem.Unavailable, "The connections cannot be listed right now; try again").Because(causeConnections)
}

// connectionQuery is what the query string selects.
func connectionQuery(r *httpapi.Request) (q ConnectionQuery, bad *problem.Problem) {
	for name, field := range map[string]*string{
		"protocol": &q.Protocol, "ip": &q.IP, "user_id": &q.UserID, "channel": &q.Channel, "after": &q.After,
	} {
		text, ok := r.Query.Get(name)
		if ok && text == "" {
			return q, problem.Invalid(name + " is empty; leave it out to select all")
		}
		*field = text
	}
	if q.Protocol != "" && q.Protocol != "channels" && q.Protocol != "views" {
		return q, problem.Invalid("protocol must be channels or views")
	}
	if q.IP != "" {
		ip, err := netip.ParseAddr(q.IP)
		if err != nil {
			return q, problem.Invalid("ip must be an IP address")
		}
		q.IP = ip.Unmap().WithZone("").String() // as connections are told
	}
	if q.After != "" {
		if bad := checkSocketID("after", q.After); bad != nil {
			return q, bad
		}
	}
	q.Limit, bad = pageSize(r)
	return q, bad
}

func checkSocketID(what, text string) *problem.Problem {
	if _, ok := protocol.ParseSocketID(text); !ok {
		return problem.Invalid(what + " must be a socket id: two numbers with a dot between, as the connection was given it")
	}
	return nil
}

// showConnection is GET /apps/{app_id}/connections/{socket_id}.
func (h *handler) showConnection(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if bad := checkSocketID("socket_id", r.Name); bad != nil {
		return bad
	}
	found, err := h.o.Connections.Find(ctx, r.App.ID, r.Name)
	if err != nil {
		return h.unlisted(r.App, err)
	}
	return r.Answer(connectionOf(&found))
}

// closeConnection is DELETE /apps/{app_id}/connections/{socket_id}.
func (h *handler) closeConnection(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if bad := checkSocketID("socket_id", r.Name); bad != nil {
		return bad
	}
	if err := h.o.Connections.Close(ctx, r.App.ID, r.Name); err != nil {
		return h.unlisted(r.App, err)
	}
	return r.Answer(done{true})
}

// traceConnection is POST /apps/{app_id}/connections/{socket_id}/trace.
func (h *handler) traceConnection(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if bad := checkSocketID("socket_id", r.Name); bad != nil {
		return bad
	}
	duration, bad := readTrace(r.Body())
	if bad != nil {
		return bad
	}
	if err := h.o.Connections.Trace(ctx, r.App.ID, r.Name, duration); err != nil {
		return h.unlisted(r.App, err)
	}
	return r.Answer(done{true})
}

// readTrace reads for how long frames are to be logged.
func readTrace(body []byte) (time.Duration, *problem.Problem) {
	v, bad := httpapi.ParseObject(body)
	if bad != nil {
		return 0, bad
	}
	var seconds jsonscan.Value
	for name, v := range v.Members() {
		if name != "seconds" {
			return 0, problem.Invalid(fmt.Sprintf("%q means nothing here; there is seconds", problem.Shorten(name)))
		}
		seconds = v
	}
	const most = int(maxTrace / time.Second)
	n, err := strconv.Atoi(string(seconds))
	if err != nil || seconds.Kind() != jsonscan.Number || n < 0 || n > most {
		return 0, problem.Invalid(fmt.Sprintf("seconds must be a whole number from 1 to %d, or 0 to end it", most))
	}
	return time.Duration(n) * time.Second, nil
}
