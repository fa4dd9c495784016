package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/socket"
)

// viewPing is how often a watcher says that it is there (views 8.1). It gets no answer.
const viewPing = 15 * time.Second

var _ socket.Handler = (*watcher)(nil)

// WatchOptions say what of a view is watched.
type WatchOptions struct {
	ViewOptions
	Token string // of the session; default none
}

// Change is what happened to one row of a watched view.
type Change struct {
	Op    string          `json:"op"` // snapshot: a row that was there; upsert, patch or delete
	Key   string          `json:"key"`
	Data  json.RawMessage `json:"data,omitempty"`  // the row as it is now
	Patch json.RawMessage `json:"patch,omitempty"` // with patch: what was merged into it
	Seq   string          `json:"seq,omitempty"`
}

// Watch hands over the rows of a view and then every change, one at a time, until ctx ends
// (the error is ctx's) or the server refuses (ErrRefused). A connection that ends otherwise
// is opened again, and only the changes since then are handed over.
func (c *Client) Watch(ctx context.Context, view string, o WatchOptions, each func(Change)) error {
	rows := newRows(o.After, each)
	err := c.stay(ctx, func(engine *socket.Engine) error {
		return c.watchOnce(ctx, engine, view, o, rows)
	})
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("client: watch %s: %w", view, err)
	}
	return err
}

// watchOnce runs one connection to its end.
func (c *Client) watchOnce(ctx context.Context, engine *socket.Engine, view string, o WatchOptions, rows *rows) error {
	address := "ws" + strings.TrimPrefix(c.base.String(), "http") + "/views/" + url.PathEscape(c.o.Key)
	if o.Token != "" {
		address += "?" + url.Values{"hs_token": {o.Token}}.Encode()
	}
	conn, err := engine.Dial(ctx, address, &socket.Endpoint{MaxMessage: maxMessage, MaxQueueFrames: 64}, nil)
	if o.Token == "" && refusedStatus(err) == http.StatusUnauthorized {
		return &credentialsError{fmt.Errorf("%w: %w: the app wants a token from clients, or does not have this key; give one with --token (\"millrace token mint\" makes one), or read the view with \"millrace view get\", which the secret signs", ErrRefused, err)}
	}
	switch refusedStatus(err) {
	case http.StatusNotFound:
		if strings.HasSuffix(err.Error(), http.StatusText(http.StatusNotFound)) { // without a code: it is no Millrace
			return c.notServed(err)
		}
		return &credentialsError{fmt.Errorf("%w: %w: no app of the server has this key, or the app has no views", ErrRefused, err)}
	case http.StatusUnauthorized, http.StatusForbidden:
		return &credentialsError{fmt.Errorf("%w: %w", ErrRefused, err)}
	}
	if isRefusedUpgrade(err) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return &unopenedError{err}
	}
	rows.begin()
	frame, err := json.Marshal(subscribeView{
		Type: "subscribe", View: view, Key: o.Key, Take: o.Take, Skip: o.Skip, After: rows.after(), SnapshotLimit: o.Limit,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	w := &watcher{client: c, rows: rows, ended: make(chan error, 1)}
	conn.Start(w)
	conn.Send(frame)
	conn.SetTimer(viewPing)
	select {
	case err := <-w.ended:
		return err
	case <-ctx.Done():
		conn.Close(socket.Disconnect{Code: 1000})
		return <-w.ended
	}
}

// isRefusedUpgrade tells an answer that asking again will not change.
func isRefusedUpgrade(err error) bool {
	status := refusedStatus(err)
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests
}

// subscribeView is the request to watch a view (views 3.2).
type subscribeView struct {
	Type          string  `json:"type"`
	View          string  `json:"view"`
	Key           *string `json:"key,omitempty"`
	Take          *int    `json:"take,omitempty"`
	Skip          *int    `json:"skip,omitempty"`
	After         *string `json:"after,omitempty"`
	SnapshotLimit *int    `json:"snapshotLimit,omitempty"`
}

// watcher is the session on one connection of views. Its methods are called one at a time.
type watcher struct {
	client *Client
	rows   *rows

	ended chan error // told once, by Closed

	// Owned by the turn.
	refused error  // why the client itself closes, for good
	last    *issue // why the server closes
}

// issue is what the server says when something is wrong (views 1.10).
type issue struct {
	Type, Code, Message string
	Retryable, Fatal    bool
}

func (i *issue) String() string { return i.Code + ": " + i.Message }

// Message handles one frame: issues are text, everything about rows is binary, compressed
// if it begins as gzip does.
func (w *watcher) Message(c *socket.Conn, op socket.Opcode, payload []byte) {
	if op == socket.OpText {
		w.control(c, payload)
		return
	}
	text, err := inflate(payload)
	var f viewFrame
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil {
		err = w.rows.apply(&f)
	}
	if err != nil {
		w.refuse(c, fmt.Errorf("%w: a frame cannot be read: %w", ErrRefused, err))
	}
}

func (w *watcher) control(c *socket.Conn, payload []byte) {
	i := new(issue)
	if json.Unmarshal(payload, i) != nil || i.Type != "error" {
		return // not for us
	}
	w.last = i
	switch {
	case !i.Fatal: // about the one subscription there is
		w.refuse(c, fmt.Errorf("%w: %s", ErrRefused, i))
	case !i.Retryable || strings.HasPrefix(i.Code, "token-"): // there is no other token
		w.refused = fmt.Errorf("%w: %s", ErrRefused, i)
	}
}

// refuse ends the connection and the whole watch.
func (w *watcher) refuse(c *socket.Conn, err error) {
	if w.refused == nil {
		w.refused = err
	}
	c.Close(socket.Disconnect{Code: 1000})
}

// Timeout keeps the connection alive.
func (w *watcher) Timeout(c *socket.Conn) {
	c.Send([]byte(`{"type":"ping"}`))
	c.SetTimer(viewPing)
}

// Drained implements socket.Handler.
func (*watcher) Drained(*socket.Conn) {}

// Closed reports the end.
func (w *watcher) Closed(*socket.Conn, socket.CloseReason) {
	switch {
	case w.refused != nil:
		w.ended <- w.refused
	case w.last != nil:
		w.ended <- &endedError{closing{message: w.last.String()}}
	default:
		w.ended <- &endedError{}
	}
}

// inflate is the JSON of a binary message.
func inflate(payload []byte) ([]byte, error) {
	if len(payload) < 2 || payload[0] != 0x1f || payload[1] != 0x8b {
		return payload, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if len(text) > maxAnswer {
		return nil, errors.New("too large")
	}
	return text, err
}
