package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Connection is an open connection of the app on the node that was asked.
type Connection struct {
	SocketID string   `json:"socket_id"`
	Protocol string   `json:"protocol"` // channels or views
	IP       string   `json:"ip"`
	UserID   string   `json:"user_id,omitempty"`
	Key      string   `json:"key,omitempty"`
	SinceMS  int64    `json:"since_ms"`
	Channels []string `json:"channels"` // or views; some of them
	Total    int      `json:"total"`    // how many there are
	Waiting  int      `json:"waiting_bytes"`
	IsTraced bool     `json:"is_traced"`
}

// ConnectionQuery selects connections. Zero fields select all.
type ConnectionQuery struct {
	Protocol, IP, UserID, Channel string

	After string // a socket id
	Limit int
}

// ConnectionList is a page of connections.
type ConnectionList struct {
	Connections []Connection `json:"connections"`
	Next        string       `json:"next,omitempty"` // After of the next page; empty: there is none
}

// Connections lists connections by socket id.
func (c *Client) Connections(ctx context.Context, q ConnectionQuery) (*ConnectionList, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"protocol": q.Protocol, "ip": q.IP, "user_id": q.UserID, "channel": q.Channel, "after": q.After,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	list := new(ConnectionList)
	if err := c.get(ctx, "/connections", query, list); err != nil {
		return nil, fmt.Errorf("client: connections: %w", err)
	}
	return list, nil
}

// Connection asks about one connection.
func (c *Client) Connection(ctx context.Context, socketID string) (*Connection, error) {
	found := new(Connection)
	if err := c.get(ctx, connectionPath(socketID), nil, found); err != nil {
		return nil, fmt.Errorf("client: connection: %w", err)
	}
	return found, nil
}

// CloseConnection ends a connection for good.
func (c *Client) CloseConnection(ctx context.Context, socketID string) error {
	if _, err := c.call(ctx, request{method: http.MethodDelete, path: connectionPath(socketID)}); err != nil {
		return fmt.Errorf("client: close connection: %w", err)
	}
	return nil
}

// TraceConnection makes the server log every frame of a connection for so long; 0 ends it.
func (c *Client) TraceConnection(ctx context.Context, socketID string, seconds int) error {
	body, err := json.Marshal(map[string]int{"seconds": seconds})
	if err == nil {
		_, err = c.call(ctx, request{method: http.MethodPost, path: connectionPath(socketID) + "/trace", body: body})
	}
	if err != nil {
		return fmt.Errorf("client: trace connection: %w", err)
	}
	return nil
}

func connectionPath(socketID string) string { return "/connections/" + url.PathEscape(socketID) }
