package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

// crowd is how many connections look on: enough that fan-out takes longer than the way to the
// first close.
const crowd = 300

func TestABatchThatWasAcknowledgedComesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	onBothPaths(t, acknowledgedBatchComes)
}

func acknowledgedBatchComes(t *testing.T, path string) {
	const events = 2000
	node := testkit.Start(t, path, fmt.Sprintf("apps.0.max_batch_size=%d", events))
	peers := make([]*testkit.Peer, crowd)
	for i := range peers {
		peers[i], _ = node.Dial(t)
		peers[i].Subscribe(t, "news")
	}
	list := make([]string, events)
	for e := range list {
		list[e] = fmt.Sprintf(`{"channel":"news","name":"item","data":"item-%d"}`, e)
	}
	answer, err := node.DoSigned(t.Context(), http.MethodPost, "/apps/"+testkit.AppID+"/batch_events", `{"batch":[`+strings.Join(list, ",")+`]}`)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%+v, %v", answer, err)
	}
	node.Stop()
	for i, p := range peers {
		for n := range events {
			f, err := p.Next(waitLimit)
			if want := fmt.Sprintf(`"item-%d"`, n); err != nil || !strings.Contains(string(f.Payload), want) {
				t.Fatalf("connection %d gets %q, %v; want %s", i, f.Payload, err, want)
			}
		}
		if got := closeCode(t, p); got != 4100 {
			t.Errorf("connection %d is closed with %d", i, got)
		}
		p.Cut()
	}
}

func TestMutationsThatWereAcknowledgedComeBeforeTheEnd(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("views.rate_limiting_enabled=false")...)
	viewers := make([]*viewer, crowd)
	for i := range viewers {
		viewers[i] = dialViewer(t, node)
		viewers[i].subscribe(t, "Auction/list", "")
		viewers[i].until(t, func() string {
			if !viewers[i].whole["Auction/list"] {
				return "there is no snapshot"
			}
			return ""
		})
	}
	const mutations = 500
	batch := make([]string, mutations)
	for i := range batch {
		batch[i] = patch(fmt.Sprintf("k%d", i), `{"price":1}`)
	}
	mutate(t, node, batch...)
	node.Stop()
	for i, v := range viewers {
		var err error
		for err == nil {
			_, err = v.next()
		}
		if got := len(v.store["Auction/list"]); got != mutations || !strings.Contains(err.Error(), "close code 1001") {
			t.Fatalf("viewer %d has %d entities, want %d, and ended with %v", i, got, mutations, err)
		}
		v.Cut()
	}
}

// A publisher with an open connection is refused once the end has begun, told when to come back,
// and told to come back on another connection.
func TestAPublishAfterTheEndHasBegunIsRefused(t *testing.T) {
	t.Parallel()
	onBothPaths(t, latePublishIsRefused)
}

func latePublishIsRefused(t *testing.T, path string) {
	node := testkit.Start(t, path)
	held, _ := node.Dial(t) // does not answer the close, which holds the end up
	held.Subscribe(t, "news")
	publish := func() (testkit.Response, error) {
		return node.DoSigned(t.Context(), http.MethodPost, "/apps/"+testkit.AppID+"/events", `{"channel":"news","name":"item","data":"1"}`)
	}
	if got, err := publish(); err != nil || got.Status != http.StatusOK {
		t.Fatalf("%+v, %v", got, err)
	}
	node.Stop()
	if got := closeCode(t, held); got != 4100 { // then the gate is closed
		t.Errorf("closed with %d", got)
	}
	got, err := publish()
	if err != nil && node.Wait(t.Context()) == nil {
		t.Skip("the machine was too slow to publish before the end")
	}
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "shutting down") {
		t.Errorf("got %+v", got)
	}
	held.Cut()
}
