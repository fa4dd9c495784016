package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Event is what a backend publishes.
type Event struct {
	Name     string   `json:"name"`
	Channels []string `json:"channels"`
	Data     string   `json:"data"`                // usually JSON text
	SocketID string   `json:"socket_id,omitempty"` // a connection that must not receive it
}

// Publish sends one event to its channels. When the server asks to try again later it
// does, as long as ctx and a bounded number of tries allow: nothing has been delivered
// then. A refusal is an *APIError. After any other error the event may have been
// delivered.
func (c *Client) Publish(ctx context.Context, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("client: publish: %w", err)
	}
	_, err = c.call(ctx, request{method: http.MethodPost, path: "/events", body: body})
	if err != nil {
		return fmt.Errorf("client: publish: %w", err)
	}
	return nil
}
