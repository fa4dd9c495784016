package delivery_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type oneApp struct{}

func (oneApp) ByID(context.Context, string) (*app.App, error) {
	return &app.App{ID: "app", Key: "key", Secret: "secret"}, nil
}

// outcomes notes what a sender says.
type outcomes struct {
	mu   sync.Mutex
	told []string
}

func (o *outcomes) Done(number uint64) { o.note("done %d", number) }
func (o *outcomes) Idle()              { o.note("idle") }
func (o *outcomes) Dead(letters ...webhook.Letter) {
	for _, l := range letters {
		o.note("dead %d: %s after %d", l.Number, l.Reason, l.Attempts)
	}
}

func (o *outcomes) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, fmt.Sprintf(format, args...))
}

func (o *outcomes) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.told
	o.told = nil
	return told
}

// endpoint answers requests with its status, and notes their bodies.
type endpoint struct {
	mu     sync.Mutex
	status int
	bodies []string
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	_, events, _ := strings.Cut(string(body), `"events":`)
	e.bodies = append(e.bodies, strings.TrimSuffix(events, "}"))
	return &http.Response{StatusCode: e.status, Body: http.NoBody, Request: r}, err
}

func (e *endpoint) answer(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

func (e *endpoint) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if diff := cmp.Diff(want, e.bodies); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	e.bodies = nil
}

// node is one endpoint and its queues, and the test as their writer.
type node struct {
	*delivery.Sender
	*outcomes
	endpoint *endpoint
	lanes    delivery.Lanes
	queue    *delivery.Queue
	ctx      context.Context //nolint:containedctx // ends the workers, as the engine's does
}

// run runs a test with batches of two events, tried again after a second, two and so on for ten.
func run(t *testing.T, o delivery.Options, test func(t *testing.T, n *node)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{outcomes: &outcomes{}, endpoint: &endpoint{status: 200}}
		o.Transport = n.endpoint
		n.Sender = delivery.New(oneApp{}, n.outcomes, o)
		n.lanes = n.NewLanes("app", "hook")
		n.lanes.Set(delivery.SettingsOf(&webhook.Endpoint{ID: "hook", URL: "http://hook/"}, &delivery.Defaults{
			Retry:          app.WebhookRetry{MaxElapsed: 10 * time.Second, InitialBackoff: time.Second, MaxBackoff: time.Minute},
			Batching:       app.WebhookBatching{Duration: 50 * time.Millisecond, Size: 2},
			RequestTimeout: time.Second,
		}))
		n.queue = n.lanes[webhook.LaneUsual]
		ctx, cancel := context.WithCancel(t.Context())
		n.ctx = ctx
		test(t, n)
		cancel()
		n.Wait()
	})
}

// append appends events and stores their batches.
func (n *node) append(events ...string) (parts []string) {
	var touched []*delivery.Batch
	for _, e := range events {
		if b, isFirst := n.queue.Append([]byte(e), time.Now().UnixMilli(), time.Now()); isFirst {
			touched = append(touched, b)
		}
	}
	for _, b := range touched {
		p := n.queue.Cut(b)
		parts = append(parts, fmt.Sprintf("%d/%d %s", p.Index, p.Count, p.Events))
		n.queue.Stored(n.ctx, b)
	}
	return parts
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (n *node) expectTold(t *testing.T, when string, want ...string) {
	t.Helper()
	first := n.LastNumber()
	for i, text := range want {
		var behind uint64
		if _, err := fmt.Sscanf(text, "done -%d", &behind); err == nil {
			want[i] = fmt.Sprintf("done %d", first-behind)
		}
		if rest, ok := strings.CutPrefix(text, "dead -"); ok {
			number, why, _ := strings.Cut(rest, ":")
			if _, err := fmt.Sscan(number, &behind); err != nil {
				t.Fatal(err)
			}
			want[i] = fmt.Sprintf("dead %d:%s", first-behind, why)
		}
	}
	if diff := cmp.Diff(want, n.take()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestPartsAreWhatWasAddedSinceTheLast(t *testing.T) {
	run(t, delivery.Options{}, func(t *testing.T, n *node) {
		if diff := cmp.Diff([]string{"0/2 1,2", "0/1 3"}, n.append("1", "2", "3")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"1/1 4", "0/1 5"}, n.append("4", "5")); diff != "" {
			t.Errorf("the second part of a batch (-want +got):\n%s", diff)
		}
		after(time.Second)
		n.endpoint.expect(t, "all", "[1,2]", "[3,4]", "[5]")
		n.expectTold(t, "all", "done -2", "done -1", "done -0", "idle")
	})
}

func TestWhatIsNotStoredIsNotSent(t *testing.T) {
	run(t, delivery.Options{}, func(t *testing.T, n *node) {
		b, isFirst := n.queue.Append([]byte("1"), 0, time.Now())
		if !isFirst {
			t.Error("the first event of a batch is in a part")
		}
		n.queue.Start(n.ctx)
		after(time.Minute)
		n.endpoint.expect(t, "before it is stored")
		n.queue.Cut(b)
		n.queue.Stored(n.ctx, b)
		after(time.Second)
		n.endpoint.expect(t, "afterwards", "[1]")
	})
}

func TestNothingOvertakesABatchThatFails(t *testing.T) {
	run(t, delivery.Options{}, func(t *testing.T, n *node) {
		n.endpoint.answer(500)
		n.append("1", "2", "3", "4")
		after(2 * time.Second)
		n.endpoint.expect(t, "while the endpoint fails", "[1,2]", "[1,2]")
		if s := n.lanes.Status(); s.Events != 4 || s.Failures != 2 || s.IsBroken || s.LastError != "status 500 Internal Server Error" {
			t.Errorf("got %+v", s)
		}
		n.endpoint.answer(200)
		after(10 * time.Second)
		n.endpoint.expect(t, "once it works", "[1,2]", "[3,4]")
		n.expectTold(t, "both", "done -1", "done -0", "idle")
	})
}

func TestABatchIsGivenUpAfterItsTime(t *testing.T) {
	run(t, delivery.Options{}, func(t *testing.T, n *node) {
		n.endpoint.answer(500)
		n.append("1", "2")
		after(time.Minute)
		n.endpoint.expect(t, "after 0, 1, 3 and 7 s", "[1,2]", "[1,2]", "[1,2]", "[1,2]")
		n.expectTold(t, "after them", "dead -0: max_elapsed after 4", "idle")
	})
}

func TestARemovedEndpointLeavesLetters(t *testing.T) {
	run(t, delivery.Options{}, func(t *testing.T, n *node) {
		n.endpoint.answer(500)
		n.append("1", "2", "3")
		after(time.Millisecond)
		n.lanes.Retire()
		after(time.Minute)
		n.expectTold(t, "of both batches", "dead -1: removed after 1", "dead -0: removed after 0", "idle")
		if b, _ := n.queue.Append([]byte("4"), 0, time.Now()); b != nil || n.Pending() != 0 {
			t.Errorf("it takes more, and has %d bytes", n.Pending())
		}
	})
}

func TestSheddingKeepsTheFirstAndTheLast(t *testing.T) {
	run(t, delivery.Options{}, func(t *testing.T, n *node) {
		n.endpoint.answer(500)
		n.append("1", "2", "3", "4", "5", "6", "7")
		after(time.Millisecond)
		var gone []string
		for _, l := range n.queue.Shed(0, time.Now()) {
			gone = append(gone, fmt.Sprintf("%s %s", l.Reason, l.Events))
		}
		if diff := cmp.Diff([]string{"overflow 3,4", "overflow 5,6"}, gone); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		n.endpoint.answer(200)
		after(time.Minute)
		n.endpoint.expect(t, "the rest", "[1,2]", "[1,2]", "[7]")
	})
}

func TestADurableSenderThatDrainsDoesNotWaitForWhatFails(t *testing.T) {
	for _, isDurable := range []bool{true, false} {
		t.Run(fmt.Sprintf("durable %t", isDurable), func(t *testing.T) {
			run(t, delivery.Options{IsDurable: isDurable}, func(t *testing.T, n *node) {
				n.endpoint.answer(500)
				n.append("1")
				n.Drain()
				n.queue.Rouse()
				after(time.Millisecond)
				n.endpoint.expect(t, "an open batch is sent at once", "[1]")
				if n.IsIdle() != isDurable {
					t.Errorf("idle: %t", n.IsIdle())
				}
			})
		})
	}
}
