package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/probe"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
	"github.com/millrace/millrace/test/bench/child"
)

// WebhookOptions say what an outbox is told.
type WebhookOptions struct {
	Store  webhook.Store
	Events int // client events, at least 1
	Batch  int // most events of a request, at least 1
}

// WebhookAnswer is what [RunWebhooks] says.
type WebhookAnswer struct {
	Events int           `json:"events"`
	Wall   time.Duration `json:"wall_ns"`
	CPU    time.Duration `json:"cpu_ns"`
}

// webhookRun is an outbox with one endpoint, and who serves that, over the loopback.
// Channel underWay has one entry for each event that was told and has not arrived.
type webhookRun struct {
	o        WebhookOptions
	engine   *outbox.Outbox
	underWay chan struct{}
	arrived  chan error // once, with what was wrong
	next     int        // number of the event that comes next; the receiver's, one request at a time
}

type onlyApp struct{}

func (onlyApp) ByID(context.Context, string) (*app.App, error) {
	return &app.App{ID: appID, Key: child.Key, Secret: child.Secret, Enabled: true}, nil
}

// MeasureWebhooks runs [RunWebhooks] in a process of its own, the benchmark binary bench, stored on
// the disk of temporary files.
func MeasureWebhooks(ctx context.Context, bench string, events, batch int) (a WebhookAnswer, err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var failure bytes.Buffer
	cmd := exec.CommandContext(ctx, bench, "webhooks", "--stored", dir,
		"--events", strconv.Itoa(events), "--batch", strconv.Itoa(batch))
	cmd.Stderr = &failure
	cmd.WaitDelay = child.StopTimeout
	out, err := cmd.Output()
	if err != nil {
		return a, fmt.Errorf("webhooks: %w: %s", err, bytes.TrimSpace(failure.Bytes()))
	}
	return a, json.Unmarshal(out, &a)
}

// RunWebhooks makes an outbox, tells it of client events as fast as they are delivered,
// and writes how long that took until the last one has arrived, as JSON. Loss and disorder
// are errors.
func RunWebhooks(ctx context.Context, o WebhookOptions, out io.Writer) error {
	window := 300 + 100*o.Batch
	r := &webhookRun{o: o, underWay: make(chan struct{}, window), arrived: make(chan error, 1)}
	receiver := httptest.NewServer(r)
	defer receiver.Close()
	r.engine = outbox.New(outbox.Options{Apps: onlyApp{}, Store: o.Store})
	if err := r.engine.Load(ctx); err != nil {
		return err
	}
	err := r.engine.SetEndpoints(appID, []webhook.Endpoint{{
		ID: "bench", URL: receiver.URL, EventTypes: []string{webhook.KindClientEvent.String()},
		Batching: app.WebhookBatching{Size: o.Batch},
	}})
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.engine.Run(running) }() // ends with running
	answer, err := r.tell(ctx)
	cancel()
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answer)
}

// tell tells of all events and waits for the last.
func (r *webhookRun) tell(ctx context.Context) (a WebhookAnswer, err error) {
	self, id := probe.Self(), protocol.NewSocketID()
	before, err := self.CPU()
	if err != nil {
		return a, err
	}
	begun := time.Now()
	for i := range r.o.Events {
		select {
		case r.underWay <- struct{}{}:
		case err := <-r.arrived:
			return a, errors.Join(err, errors.New("an event arrived that was not told"))
		case <-ctx.Done():
			return a, ctx.Err()
		}
		data := fmt.Appendf(nil, `{"n":%d,"text":"some text that somebody has typed"}`, i)
		r.engine.Tell(&room.Event{Kind: room.ClientEvent, App: appID, Channel: "private-room", Name: "client-typing", Data: data, Socket: id, User: ""})
	}
	select {
	case err = <-r.arrived:
	case <-ctx.Done():
		err = ctx.Err()
	}
	a = WebhookAnswer{Events: r.o.Events, Wall: time.Since(begun)}
	after, err2 := self.CPU()
	a.CPU = after.Since(before)
	return a, errors.Join(err, err2)
}

// ServeHTTP implements http.Handler: the endpoint.
func (r *webhookRun) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	var batch struct {
		Events []struct{ Data string } // the JSON text of a client event
	}
	if err := json.NewDecoder(request.Body).Decode(&batch); err != nil {
		r.end(fmt.Errorf("webhook: %w", err))
		return
	}
	for _, e := range batch.Events {
		if n := gjson.Get(e.Data, "n").Int(); int(n) != r.next {
			r.end(fmt.Errorf("webhook: event %d arrived, want %d", n, r.next))
			return
		}
		r.next++
		<-r.underWay
	}
	if r.next == r.o.Events {
		r.end(nil)
	}
}

// end says how it ended; the first time counts.
func (r *webhookRun) end(err error) {
	select {
	case r.arrived <- err:
	default:
	}
}
