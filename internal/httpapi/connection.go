package httpapi

import (
	"context"
	"time"
)

// Connection is an open connection, as an operator sees it.
type Connection struct {
	SocketID string    // as clients see it
	Face     string    // channels or views
	IP       string    // after trusted proxies
	UserID   string    // signed in as; or the subject of the session's token; may be empty
	Key      string    // by which the client named the app; empty on the face of views
	Since    time.Time // accepted
	Channels []string  // or views, sorted; at most as many as asked for
	Total    int       // how many there are
	Waiting  int       // bytes queued
	IsTraced bool      // its frames are logged
}

// ConnectionQuery selects connections of an app. Zero fields select all.
type ConnectionQuery struct {
	Face, IP, UserID, Channel string

	After string // a socket id: those whose ids come after it, as texts
	Limit int    // above zero
}

// Connections answers for the open connections of this node.
type Connections interface {
	// List selects connections, by socket id, at most q.Limit. Connections that end meanwhile
	// may be missing.
	List(ctx context.Context, appID string, q ConnectionQuery) ([]Connection, error)
	// Find returns one connection; false when there is none.
	Find(ctx context.Context, appID, socketID string) (Connection, bool)
	// Close ends a connection for good: clients do not reconnect by themselves. False when
	// there is none.
	Close(appID, socketID string) bool
	// Trace logs every frame of a connection from now for so long; zero ends it. False when
	// there is none.
	Trace(appID, socketID string, duration time.Duration) bool
}
