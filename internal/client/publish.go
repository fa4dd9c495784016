package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

const (
	// maxTries bounds the attempts of one publish.
	maxTries = 6
	// retryAfter is the wait after "try again later" from a server that does not say when.
	retryAfter = time.Second
	// maxAnswer bounds what is read of a response.
	maxAnswer = 64 << 10
)

// Event is what a backend publishes.
type Event struct {
	Name     string   `json:"name"`
	Channels []string `json:"channels"`
	Data     string   `json:"data"`                // usually JSON text
	SocketID string   `json:"socket_id,omitempty"` // a connection that must not receive it
}

// APIError is a request that the server refused.
type APIError struct {
	Status  int
	Code    string // of the server's error table; empty if it gave none
	Message string
}

func (e *APIError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// Publish sends one event to its channels. When the server asks to try again later it
// does, as long as ctx and a bounded number of tries allow: nothing has been delivered
// then. A refusal is an *APIError. After any other error the event may have been
// delivered.
func (c *Client) Publish(ctx context.Context, e Event) error {
	if c.o.App == "" || c.o.Secret == "" {
		return errors.New("client: publishing needs the app id and the app secret")
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("client: publish: %w", err)
	}
	for try := 1; ; try++ {
		again, err := c.post(ctx, c.base.EscapedPath()+"/apps/"+url.PathEscape(c.o.App)+"/events", body)
		if err == nil {
			return nil
		}
		if again == 0 || try == maxTries {
			return fmt.Errorf("client: publish: %w", err)
		}
		if c.wait(ctx, again) != nil {
			return fmt.Errorf("client: publish: %w (gave up waiting: %w)", err, ctx.Err())
		}
	}
}

// post sends a signed request. again is when to try again, zero for never.
func (c *Client) post(ctx context.Context, path string, body []byte) (again time.Duration, err error) {
	query := auth.SignRequest(auth.Request{Method: http.MethodPost, Path: path, Body: body},
		nil, c.o.Key, c.o.Secret, time.Now())
	address := c.base.Scheme + "://" + c.base.Host + path + "?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || resp.StatusCode == http.StatusOK {
		return 0, err
	}
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		again = retryAfter
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			again = time.Duration(n) * time.Second
		}
	}
	return again, refusal(resp.StatusCode, answer)
}

func refusal(status int, answer []byte) error {
	var body struct{ Error, Code string }
	if json.Unmarshal(answer, &body) != nil || body.Error == "" {
		body.Error = string(bytes.TrimSpace(answer))
	}
	if body.Error == "" {
		body.Error = http.StatusText(status)
	}
	return &APIError{Status: status, Code: body.Code, Message: body.Error}
}
