// Package client is a small client of a server that speaks Pusher Channels protocol 7 and
// the protocol of live views: it publishes, changes entities and reads views over the HTTP
// API, and listens to channels or watches a view over a WebSocket connection.
//
// It holds the app secret, so it belongs on a backend or on a developer's command line. It
// knows the wire only, never the server's insides.
//
// A call to Subscribe or Watch owns its connection engine and joins it before it returns;
// the others start nothing. Events of a connection are handed over one at a time in the
// order of arrival. What is published to a channel while a lost connection is opened again
// is not received; the rows of a view are brought up to date.
package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// requestTimeout bounds one HTTP request.
const requestTimeout = 30 * time.Second

// Options of a Client. URL, App, Key and Secret are needed for the HTTP API; URL and Key for
// subscribing and watching, and Secret for channels that are signed. Other zero fields mean the
// default.
type Options struct {
	URL    string // http://host:port or https://host:port
	App    string // app id
	Key    string
	Secret string

	Log  *slog.Logger // gets a line for each reconnect; default none
	HTTP *http.Client // default one of its own
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: requestTimeout}
	}
	return o
}

// Client talks to one app of one server. It is safe for concurrent use.
type Client struct {
	o    Options
	base *url.URL
	wait func(context.Context, time.Duration) error // pause, but for tests
}

// New checks the options.
func New(o Options) (*Client, error) {
	u, err := parseURL(o.URL)
	switch {
	case err != nil:
		return nil, err
	case o.Key == "":
		return nil, errors.New("client: the app key is missing")
	}
	o = o.withDefaults()
	return &Client{o: o, base: u, wait: pause}, nil
}

// CheckURL says what is wrong with the URL of a server, before a client is made for it.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

// parseURL refuses a user and a password: no request would use them, and they would stand in errors and
// lists.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err == nil && u.User != nil:
		return nil, fmt.Errorf("client: url %q: leave out the user and the password; a key and its secret are flags of their own", u.Redacted())
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("client: url %q: want http://host:port or https://host:port", text)
	}
	return u, nil
}

// pause waits for d. An error is the context's.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
