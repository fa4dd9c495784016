package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

const (
	// maxTries bounds the attempts of one call.
	maxTries = 6
	// retryAfter is the wait after "try again later" from a server that does not say when.
	retryAfter = time.Second
	// maxAnswer bounds the bytes that are read of a response.
	maxAnswer = 64 << 20
)

// APIError is a request that the server refused.
type APIError struct {
	Status  int
	Code    string // of the server's error table; empty if it gave none
	Message string
	Done    int // how much of what was asked was done before
}

func (e *APIError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%d: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
}

// request is a call of the HTTP API. path is what follows the app, escaped.
type request struct {
	method, path string
	query        url.Values
	body         []byte
	isOnce       bool // not to be sent again: a part of it may have been done
}

// call sends a signed request, again as long as the server says that this helps, ctx allows
// and the tries are not used up: nothing has been done then.
func (c *Client) call(ctx context.Context, r request) ([]byte, error) {
	if c.o.App == "" || c.o.Secret == "" {
		return nil, errors.New("the app id and the app secret are needed")
	}
	for try := 1; ; try++ {
		answer, again, err := c.send(ctx, r)
		if err == nil || again == 0 || r.isOnce || try == maxTries {
			return answer, err
		}
		if c.wait(ctx, again) != nil {
			return nil, fmt.Errorf("%w (gave up waiting: %w)", err, ctx.Err())
		}
	}
}

// send sends r once. again is when to try again, zero for never.
func (c *Client) send(ctx context.Context, r request) (answer []byte, again time.Duration, err error) {
	path := c.base.EscapedPath() + "/apps/" + url.PathEscape(c.o.App) + r.path
	query := auth.SignRequest(auth.Request{Method: r.method, Path: path, Body: r.body},
		r.query, c.o.Key, c.o.Secret, time.Now())
	address := c.base.Scheme + "://" + c.base.Host + path + "?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return nil, 0, unanswered(c.o.URL, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || resp.StatusCode == http.StatusOK {
		return answer, 0, err
	}
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		again = retryAfter
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			again = time.Duration(n) * time.Second
		}
	}
	err = refusal(resp.StatusCode, answer)
	if refused, ok := errors.AsType[*APIError](err); ok && refused.Code == "" && refused.Status == http.StatusNotFound {
		err = fmt.Errorf("%w; see that %s is the address where a Millrace serves clients", err, c.o.URL)
	}
	return nil, again, err
}

// unanswered names the server that gave no answer, instead of the signed request.
func unanswered(server string, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	_, isNoTLS := errors.AsType[tls.RecordHeaderError](err)
	if isNoTLS || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return fmt.Errorf("no answer from %s: %w; the server there speaks no TLS: write http://", server, err)
	}
	return fmt.Errorf("no answer from %s: %w; see that a server runs there, or give the URL of another", server, err)
}

// maxPlain bounds, in bytes, what is told of an answer that is no JSON.
const maxPlain = 200

// plain is what an answer that is no JSON says in its first line, or what its status means: a proxy or
// another server may answer with a page.
func plain(status int, answer []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(answer), []byte("\n"))
	if len(line) == 0 || len(line) > maxPlain || line[0] == '<' || bytes.HasPrefix(line, []byte(strconv.Itoa(status))) {
		return http.StatusText(status)
	}
	return string(line)
}

func refusal(status int, answer []byte) error {
	var body struct {
		Error, Code         string
		Replayed, Discarded int
	}
	if json.Unmarshal(answer, &body) != nil || body.Error == "" {
		body.Error = plain(status, answer)
	}
	return &APIError{Status: status, Code: body.Code, Message: body.Error, Done: body.Replayed + body.Discarded}
}
