package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

// Admin talks to the admin API of one server. It is safe for concurrent use.
type Admin struct {
	base        *url.URL
	key, secret string
	http        *http.Client
}

// NewAdmin checks the options, of which URL, Key and Secret are needed.
func NewAdmin(o Options) (*Admin, error) {
	u, err := parseURL(o.URL)
	switch {
	case err != nil:
		return nil, err
	case o.Key == "", o.Secret == "":
		return nil, errors.New("client: the admin key and the admin secret are needed")
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: requestTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	return &Admin{base: u, key: o.Key, secret: o.Secret, http: o.HTTP}, nil
}

// Problem is one thing wrong with an app, as the server says it.
type Problem struct{ Path, Value, Message string }

func (p Problem) String() string {
	if p.Value == "" {
		return p.Path + ": " + p.Message
	}
	return p.Path + " = " + p.Value + ": " + p.Message
}

// Do sends one signed request and returns the answer; path is what follows /admin. A refusal is an
// *APIError that names every problem on a line of its own. The server carries a request out once: the
// nonce makes the same change a new request.
func (a *Admin) Do(ctx context.Context, method, path string, query url.Values, body []byte) ([]byte, error) {
	path = a.base.EscapedPath() + "/admin" + path
	if method != http.MethodGet {
		query.Set("nonce", rand.Text())
	}
	query = auth.SignRequest(auth.Request{Method: method, Path: path, Body: body}, query, a.key, a.secret, time.Now())
	address := a.base.Scheme + "://" + a.base.Host + path + "?" + query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := a.http.Do(r)
	if err != nil {
		return nil, unanswered(a.base.String(), err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil || response.StatusCode/100 == 2 {
		return text, err
	}
	return nil, adminRefusal(response.StatusCode, text)
}

// adminRefusal reads an answer that refuses a request.
func adminRefusal(status int, text []byte) error {
	var body struct {
		Error, Code string
		Problems    []Problem
		Apps        []struct {
			ID       string
			Problems []Problem
		}
	}
	if json.Unmarshal(text, &body) != nil || body.Error == "" {
		return &APIError{
			Status: status, Code: http.StatusText(status),
			Message: "there seems to be no admin API at this address; see that [admin] is set there, and whether admin.private moves it to metrics.listen",
		}
	}
	lines := []string{body.Error}
	for _, p := range body.Problems {
		lines = append(lines, p.String())
	}
	for _, app := range body.Apps {
		for _, p := range app.Problems {
			lines = append(lines, app.ID+": "+p.String())
		}
	}
	return &APIError{Status: status, Code: body.Code, Message: strings.Join(lines, "\n  ")}
}
