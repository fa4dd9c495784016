package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Mutation is one change of an entity.
type Mutation struct {
	Entity string          `json:"entity"`
	Key    string          `json:"key"`
	Op     string          `json:"op"` // upsert, patch or delete
	Data   json.RawMessage `json:"data,omitempty"`
	Append []string        `json:"append,omitempty"` // with patch: dotted paths of arrays to append to
}

// Mutate applies mutations, all or none, and returns the cursor they share. It tries again
// and fails as Publish does.
func (c *Client) Mutate(ctx context.Context, mutations []Mutation) (seq string, err error) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // data is stored as it is spelled
	if err := e.Encode(map[string]any{"mutations": mutations}); err != nil {
		return "", fmt.Errorf("client: mutate: %w", err)
	}
	answer, err := c.call(ctx, request{method: http.MethodPost, path: "/mutations", body: body.Bytes()})
	if err != nil {
		return "", fmt.Errorf("client: mutate: %w", err)
	}
	var result struct{ Seq string }
	if err := json.Unmarshal(answer, &result); err != nil {
		return "", fmt.Errorf("client: mutate: the answer: %w", err)
	}
	return result.Seq, nil
}

// ViewInfo is what there is to know about a view.
type ViewInfo struct {
	ID            string          `json:"id"`
	Mode          string          `json:"mode"`
	Access        string          `json:"access"` // public, token or server
	Source        string          `json:"source,omitempty"`
	Definition    json.RawMessage `json:"definition,omitempty"` // of a derived view
	Rows          int             `json:"rows"`
	Subscriptions int             `json:"subscriptions"`
}

// Views lists the views of the app.
func (c *Client) Views(ctx context.Context) ([]ViewInfo, error) {
	answer, err := c.call(ctx, request{method: http.MethodGet, path: "/views"})
	if err != nil {
		return nil, fmt.Errorf("client: views: %w", err)
	}
	var list struct{ Views []ViewInfo }
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("client: views: the answer: %w", err)
	}
	return list.Views, nil
}

// DefineView makes or replaces a derived view and returns its definition as it is kept.
func (c *Client) DefineView(ctx context.Context, definition []byte) ([]byte, error) {
	answer, err := c.call(ctx, request{method: http.MethodPost, path: "/views", body: definition})
	if err != nil {
		return nil, fmt.Errorf("client: define view: %w", err)
	}
	return answer, nil
}

// RemoveView removes a derived view.
func (c *Client) RemoveView(ctx context.Context, view string) error {
	if _, err := c.call(ctx, request{method: http.MethodDelete, path: "/views/" + url.PathEscape(view)}); err != nil {
		return fmt.Errorf("client: remove view: %w", err)
	}
	return nil
}

// ViewOptions say which rows of a view are wanted. Nil means that the server decides.
type ViewOptions struct {
	Key   *string
	Take  *int
	Skip  *int
	After *string // a cursor: only what changed since
	Limit *int    // of the first rows of a view without windows
}

func (o *ViewOptions) query() url.Values {
	query := url.Values{}
	for name, text := range map[string]*string{"key": o.Key, "after": o.After} {
		if text != nil {
			query.Set(name, *text)
		}
	}
	for name, n := range map[string]*int{"take": o.Take, "skip": o.Skip, "limit": o.Limit} {
		if n != nil {
			query.Set(name, strconv.Itoa(*n))
		}
	}
	return query
}

// Row is one entity of a view.
type Row struct {
	Key  string          `json:"key"`
	Data json.RawMessage `json:"data"`
}

// ViewRows are rows of a view at one moment.
type ViewRows struct {
	View     string          `json:"view"`
	Mode     string          `json:"mode"`
	Sort     json.RawMessage `json:"sort,omitempty"` // by which field clients sort the rows, and in which order
	Rows     []Row           `json:"rows"`
	Whole    *bool           `json:"whole,omitempty"`   // false: the rows are only what changed after After; older servers do not say
	Deleted  []string        `json:"deleted,omitempty"` // with After: keys of entities that are gone
	Position string          `json:"position"`          // After of what goes on from here
	Total    int             `json:"total"`
}

// ReadView reads rows of a view.
func (c *Client) ReadView(ctx context.Context, view string, o ViewOptions) (*ViewRows, error) {
	answer, err := c.call(ctx, request{method: http.MethodGet, path: "/views/" + url.PathEscape(view), query: o.query()})
	if err != nil {
		return nil, fmt.Errorf("client: read view: %w", err)
	}
	rows := new(ViewRows)
	if err := json.Unmarshal(answer, rows); err != nil {
		return nil, fmt.Errorf("client: read view: the answer: %w", err)
	}
	return rows, nil
}
