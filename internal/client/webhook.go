package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Webhook is how an endpoint of webhooks does. Times are Unix milliseconds, 0 for none.
type Webhook struct {
	ID        string `json:"id"`
	Events    int    `json:"events"` // that wait
	Bytes     int    `json:"bytes"`
	OldestMS  int64  `json:"oldest_ms,omitempty"`
	Failures  int    `json:"failures"` // in a row
	IsBroken  bool   `json:"is_broken"`
	LastError string `json:"last_error"`
	RetryAtMS int64  `json:"retry_at_ms,omitempty"`
}

// Webhooks lists the endpoints of the app.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	var list struct{ Webhooks []Webhook }
	if err := c.get(ctx, "/webhooks", nil, &list); err != nil {
		return nil, fmt.Errorf("client: webhooks: %w", err)
	}
	return list.Webhooks, nil
}

// Letter is a webhook request that was given up.
type Letter struct {
	Number   uint64            `json:"number"`
	Webhook  string            `json:"webhook"`
	Delivery string            `json:"delivery"`
	TimeMS   int64             `json:"time_ms"` // of the oldest event
	Count    int               `json:"count"`   // events
	Size     int               `json:"size"`    // of them, in bytes
	Reason   string            `json:"reason"`
	Detail   string            `json:"detail"`
	Attempts int               `json:"attempts"`
	DiedMS   int64             `json:"died_ms"`
	Events   []json.RawMessage `json:"events,omitempty"` // if asked for
}

// Letters is a page of dead letters.
type Letters struct {
	Letters []Letter `json:"letters"`
	Next    uint64   `json:"next,omitempty"` // what the next page is after; 0: there is none
}

// DeadLetters lists dead letters whose numbers are greater than after, at most so many, 0 for
// what the server thinks right.
func (c *Client) DeadLetters(ctx context.Context, after uint64, limit int, withEvents bool) (*Letters, error) {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if withEvents {
		query.Set("events", "true")
	}
	page := new(Letters)
	if err := c.get(ctx, "/webhooks/dead", query, page); err != nil {
		return nil, fmt.Errorf("client: dead letters: %w", err)
	}
	return page, nil
}

// Selection selects dead letters: every field that is set must match.
type Selection struct {
	Numbers []uint64 `json:"numbers,omitempty"`
	Webhook string   `json:"webhook,omitempty"`
	All     bool     `json:"all,omitempty"` // needed only if nothing else is set
}

// Replay sends dead letters again and returns how many, which counts with an error, too. It is
// not repeated.
func (c *Client) Replay(ctx context.Context, s Selection) (int, error) {
	return c.treat(ctx, "replay", s)
}

// Discard removes dead letters and returns how many, as Replay does.
func (c *Client) Discard(ctx context.Context, s Selection) (int, error) {
	return c.treat(ctx, "discard", s)
}

func (c *Client) treat(ctx context.Context, how string, s Selection) (int, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("client: %s: %w", how, err)
	}
	answer, err := c.call(ctx, request{method: http.MethodPost, path: "/webhooks/dead/" + how, body: body, isOnce: true})
	if refused, ok := errors.AsType[*APIError](err); ok {
		return refused.Done, fmt.Errorf("client: %s: %w", how, err)
	}
	if err != nil {
		return 0, fmt.Errorf("client: %s: %w", how, err)
	}
	var result struct{ Replayed, Discarded int }
	if err := json.Unmarshal(answer, &result); err != nil {
		return 0, fmt.Errorf("client: %s: the answer: %w", how, err)
	}
	return result.Replayed + result.Discarded, nil
}

// Online is who is online, as webhooks have told up to the event with the number Seq.
type Online struct {
	Users []string `json:"users"`
	Seq   uint64   `json:"seq"`
}

// Online asks who is online.
func (c *Client) Online(ctx context.Context) (*Online, error) {
	online := new(Online)
	if err := c.get(ctx, "/users", nil, online); err != nil {
		return nil, fmt.Errorf("client: online users: %w", err)
	}
	return online, nil
}

// get reads a JSON answer.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	answer, err := c.call(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	return nil
}
