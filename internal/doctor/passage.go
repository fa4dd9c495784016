package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// client is one of the test app, nil (and the reason is said) if there can be none.
func (e *examination) client() *client.Client {
	switch {
	case !e.doorOpen:
		e.skip("the front door does not lead to a Millrace")
		return nil
	case e.o.App.Secret == "":
		e.skip("no app is known; give --config")
		return nil
	}
	c, err := client.New(client.Options{
		URL: e.o.URL, App: e.o.App.ID, Key: e.o.App.Key, Secret: e.o.App.Secret, HTTP: e.http,
	})
	if err != nil {
		e.problem(said(err), "give --url as http://host:port or https://host:port")
		return nil
	}
	return c
}

// event publishes through the front door to a subscriber who must receive it.
func (e *examination) event(ctx context.Context) {
	if e.doorOpen && !e.upgrades {
		e.skip("subscribing needs a WebSocket; see check upgrade")
		return
	}
	c := e.client()
	if c == nil {
		return
	}
	channel := "millrace-doctor-" + strings.ToLower(rand.Text())
	ctx, stop := context.WithCancel(ctx)
	subscribed, received, ended := make(chan struct{}, 1), make(chan struct{}, 1), make(chan error, 1)
	go func() { // ends with ctx, and is joined
		ended <- c.Subscribe(ctx, []string{channel}, nil, func(m client.Message) {
			told := received
			if m.Event == "pusher_internal:subscription_succeeded" {
				told = subscribed
			}
			select {
			case told <- struct{}{}:
			default: // a connection that was opened again says it again
			}
		})
	}()
	err := await(ctx, subscribed, ended)
	if err != nil {
		stop()
		e.problem("no subscription: "+said(err), subscribeFix(err))
		e.join(err, ended)
		return
	}
	began := time.Now()
	if err = c.Publish(ctx, client.Event{Name: "doctor", Channels: []string{channel}, Data: "{}"}); err != nil {
		e.problem(said(err), publishFix(err))
	} else if err = await(ctx, received, ended); err != nil {
		e.problem("an event was published, and its subscriber did not receive it: "+said(err),
			"let one server answer all requests of an app: nodes that know nothing of each other cannot share a front door; and turn off buffering in the proxy")
	} else {
		e.good(fmt.Sprintf("an event went through in %s", time.Since(began).Round(10*time.Microsecond)))
	}
	stop()
	e.join(err, ended)
}

// errEnded says that a subscriber gave up before what it was to see.
type errEnded struct{ error }

func (e errEnded) Unwrap() error { return e.error }

func await(ctx context.Context, happened <-chan struct{}, ended <-chan error) error {
	select {
	case <-happened:
		return nil
	case err := <-ended:
		return errEnded{err}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join waits for a subscriber that await has not already seen end.
func (e *examination) join(err error, ended <-chan error) {
	if _, ok := errors.AsType[errEnded](err); !ok {
		<-ended //nolint:errcheck // told by err already, or ended by us
	}
}

// said is the text of an error of package client, which users do not know.
func said(err error) string { return strings.TrimPrefix(err.Error(), "client: ") }

func subscribeFix(err error) string {
	if errors.Is(err, client.ErrRefused) {
		return "see the code: the key must be one of an app of the running server (reload it after a change), the app enabled, and its limits not reached"
	}
	return "see check upgrade; a proxy that closes or buffers WebSocket connections looks like this"
}

func publishFix(err error) string {
	refused, ok := errors.AsType[*client.APIError](err)
	switch {
	case ok && refused.Status == http.StatusUnauthorized:
		return "see that id, key and secret of the app are those of the running server (reload it after a change), and check clock"
	case ok && refused.Status == http.StatusNotFound:
		return "let the proxy pass /apps/ to the server, with the path as it is: it is signed"
	}
	return "see the answer, and the log of the server"
}

// view reads a view as a backend does.
func (e *examination) view(ctx context.Context) {
	if !e.o.IsViewsEnabled {
		e.skip("views are turned off")
		return
	}
	c := e.client()
	if c == nil {
		return
	}
	views, err := c.Views(ctx)
	if err != nil {
		e.problem("views cannot be listed: "+said(err), publishFix(err))
		return
	}
	if len(views) == 0 {
		e.good("the app has no view yet")
		return
	}
	nobody, one := "millrace-doctor", 1 // whatever the view holds, the answer is small
	o := client.ViewOptions{Key: &nobody}
	if views[0].Definition != nil {
		o = client.ViewOptions{Take: &one}
	}
	rows, err := c.ReadView(ctx, views[0].ID, o)
	if err != nil {
		e.problem("view "+views[0].ID+" cannot be read: "+said(err), publishFix(err))
		return
	}
	e.good(fmt.Sprintf("%s was read at %s: one of %d views", views[0].ID, rows.Position, len(views)))
}

// endpoints asks the servers that this server calls.
func (e *examination) endpoints(ctx context.Context) {
	if len(e.o.Endpoints) == 0 {
		e.skip("no webhook, collector or jwks_url is configured")
	}
	for _, end := range e.o.Endpoints {
		e.endpoint(ctx, end)
	}
}

// withoutURL is what went wrong with a request, without its URL, which may hold a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (e *examination) endpoint(ctx context.Context, end Endpoint) {
	method := http.MethodHead
	if end.IsKeySet {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, end.URL, nil)
	if err != nil {
		e.problem(end.Name+": "+withoutURL(err).Error(), "write it whole, such as https://collector.example/events")
		return
	}
	answer, err := e.http.Do(request)
	if err != nil {
		e.problem(end.Name+" is not reached: "+withoutURL(err).Error(), "see that it runs, and that name, firewall and certificate let this machine reach it")
		return
	}
	defer answer.Body.Close()
	var keySet struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch {
	case answer.StatusCode >= http.StatusInternalServerError && answer.StatusCode != http.StatusNotImplemented:
		e.warn(fmt.Sprintf("%s answers with %d", end.Name, answer.StatusCode), "see its log")
	case end.IsKeySet && (answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&keySet) != nil || len(keySet.Keys) == 0):
		e.problem(end.Name+" holds no JWKS document with a key", "give the URL of the document itself, usually /.well-known/jwks.json")
	default:
		e.good(end.Name + " is reached")
	}
}
