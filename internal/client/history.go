package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
)

// HistoryItem is an event that a channel has kept.
type HistoryItem struct {
	StreamID  string `json:"stream_id"`
	Serial    uint64 `json:"serial"`
	TimeMS    int64  `json:"published_at_ms"` // Unix milliseconds
	MessageID string `json:"message_id"`
	Event     string `json:"event_name"`
	Message   struct {
		Data   json.RawMessage `json:"data,omitempty"`
		UserID string          `json:"user_id,omitempty"`
	} `json:"message"`
}

// HistoryQuery says which part of a channel's history is read.
type HistoryQuery struct {
	OldestFirst bool
	After       string // a History.Next; empty: from the beginning
	Limit       int    // 0: what the server thinks right
}

// History is a page of what a channel has kept.
type History struct {
	Items []HistoryItem `json:"items"`
	Next  string        `json:"next_cursor"` // what the next page is after; empty: there is none
}

// History reads what a channel has kept.
func (c *Client) History(ctx context.Context, channel string, q HistoryQuery) (*History, error) {
	query := url.Values{}
	if q.OldestFirst {
		query.Set("direction", "oldest_first")
	}
	if q.After != "" {
		query.Set("cursor", q.After)
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	page := new(History)
	if err := c.get(ctx, "/channels/"+url.PathEscape(channel)+"/history", query, page); err != nil {
		return nil, fmt.Errorf("client: history: %w", err)
	}
	return page, nil
}
