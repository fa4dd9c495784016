package outbox_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// split are the events of requests of encrypted channels, and of all others. A request has
// events of one sort.
func split(t *testing.T, requests []request) (encrypted, others []string) {
	t.Helper()
	for _, req := range requests {
		events := req.events(t)
		n := 0
		for _, e := range events {
			if strings.Contains(e, " private-encrypted-") {
				n++
			}
		}
		switch n {
		case len(events):
			encrypted = append(encrypted, events...)
		case 0:
			others = append(others, events...)
		default:
			t.Errorf("a request has events of both sorts: %s", req.Body)
		}
	}
	return encrypted, others
}

// A library that cannot read the events of encrypted channels refuses them and nothing else, and
// holds nothing else up.
func TestEventsOfEncryptedChannelsGoAlone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		r.answers(func(got request, _ int) int {
			if strings.Contains(got.Body, "private-encrypted-") {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		n := start(t, o, hook("hook"))
		var wantEncrypted, wantOthers []string
		for i := range 50 {
			n.SubscriptionCount("app", "private-encrypted-x", i)
			n.SubscriptionCount("app", "private-x", i)
			wantEncrypted = append(wantEncrypted, fmt.Sprintf("subscription_count private-encrypted-x %d", i))
			wantOthers = append(wantOthers, fmt.Sprintf("subscription_count private-x %d", i))
		}
		after(60 * time.Millisecond)
		_, others := split(t, r.take())
		if diff := cmp.Diff(wantOthers, others); diff != "" {
			t.Errorf("at once (-want +got):\n%s", diff)
		}
		after(time.Minute) // the breaker of the encrypted lane is open
		if s := n.Status("app")[0]; s.Events != 50 || !s.IsBroken || s.LastError == "" || s.Oldest.IsZero() {
			t.Errorf("got status %+v", s)
		}
		r.take()
		sent := time.Now()
		n.CacheMiss("app", "cache-x")
		after(100 * time.Millisecond)
		_, others = split(t, r.take())
		if !slices.Equal(others, []string{"cache_miss cache-x"}) {
			t.Errorf("got %v after %s", others, time.Since(sent))
		}
		r.answers(nil)
		after(2 * time.Minute)
		encrypted, _ := split(t, r.take())
		if diff := cmp.Diff(wantEncrypted, encrypted); diff != "" {
			t.Errorf("once it works (-want +got):\n%s", diff)
		}
	})
}

// oldBatch is what an earlier version has stored of one batch.
const oldBatch = `{"name":"channel_occupied","channel":"private-encrypted-x"},` +
	`{"name":"client_event","channel":"private-x","event":"client-a","data":{"a": [1, "é"]},"socket_id":"1.2"},` +
	`{"name":"client_event","channel":"presence-x","event":"client-a","data":"\ud800","socket_id":"1.2","user_id":"1"},` +
	`{"name":"user_online","user_id":"u-9","seq":7}`

// What an earlier version has stored is sent as events are today.
func TestWhatAnEarlierVersionHasStored(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const endpoint, otherEndpoint = "hook", "other"
	part := func(batch uint64, endpoint, delivery, events string) webhook.Part {
		return webhook.Part{
			Batch: batch, App: "app", Endpoint: endpoint, Delivery: delivery, Time: 1700000000123,
			Count: strings.Count(events, `"name"`), Events: []byte(events),
		}
	}
	second := part(5, endpoint, "first", oldBatch)
	second.Index = 1
	letter := webhook.Letter{
		Number: 7, App: "app", Endpoint: endpoint, Delivery: "dead", Time: 1700000000123, Count: 4, Events: []byte(oldBatch), Size: len(oldBatch),
		Reason: webhook.ReasonMaxElapsed, Died: time.Now(),
	}
	s := openStore(t, folder)
	err := s.CommitWebhooks(t.Context(), &webhook.Commit{
		Parts: []webhook.Part{
			part(5, endpoint, "first", `{"name":"channel_vacated","channel":"private-encrypted-x"}`), second,
			part(6, endpoint, "second", `{"name":"channel_vacated","channel":"private-encrypted-x"}`),
			part(8, otherEndpoint, "third", `{"name":"channel_occupied","channel":"prices"}`),
		},
		Dead: []webhook.Letter{letter},
	})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)

	wantOthers := []string{
		`{"name":"client_event","channel":"private-x","event":"client-a","data":"{\"a\": [1, \"é\"]}","socket_id":"1.2"}`,
		`{"name":"client_event","channel":"presence-x","event":"client-a","data":"�","socket_id":"1.2","user_id":"1"}`,
		`{"name":"user_online","channel":"#server-to-user-u-9","user_id":"u-9","seq":7}`,
	}
	wantEncrypted := []string{
		`{"name":"channel_vacated","channel":"private-encrypted-x"}`, `{"name":"channel_occupied","channel":"private-encrypted-x"}`,
		`{"name":"channel_vacated","channel":"private-encrypted-x"}`,
	}
	// The process ends before it can send anything, then sends everything.
	for _, isUp := range []bool{false, true} {
		r := newReceiver(t)
		r.answers(func(request, int) int { return map[bool]int{true: 200, false: 503}[isUp] })
		server := httptest.NewServer(r)
		s := openStore(t, folder)
		n := start(t, outbox.Options{Store: s}, network(endpoint, server.URL), network(otherEndpoint, server.URL))
		if !isUp {
			waitFor(t, "something was tried", func() bool { return r.count() > 2 })
		} else {
			waitFor(t, "all is delivered", func() bool { return n.Status("app")[0].Events+n.Status("app")[1].Events == 0 })
			encrypted, others := sentOf(t, r.take())
			if diff := cmp.Diff(wantEncrypted, encrypted); diff != "" {
				t.Errorf("of encrypted channels (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(append([]string{`{"name":"channel_occupied","channel":"prices"}`}, wantOthers...), others); diff != "" {
				t.Errorf("others (-want +got):\n%s", diff)
			}
			if got, err := n.Replay(context.Background(), "app", webhook.Selection{All: true}); got != 1 || err != nil {
				t.Errorf("replay: got %d, %v", got, err)
			}
			waitFor(t, "the dead letter is delivered", func() bool { return n.Status("app")[0].Events == 0 })
			encrypted, others = sentOf(t, r.take())
			if diff := cmp.Diff(wantEncrypted[1:2], encrypted); diff != "" {
				t.Errorf("of encrypted channels in the letter (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantOthers, others); diff != "" {
				t.Errorf("others in the letter (-want +got):\n%s", diff)
			}
		}
		_ = n.stop()
		closeStore(t, s)
		server.Close()
	}
}

// sentOf are events as they were sent, in the order of each lane; those of channel prices come
// first.
func sentOf(t *testing.T, requests []request) (encrypted, others []string) {
	t.Helper()
	split(t, requests)
	deliveries := map[string]bool{}
	for _, req := range requests {
		if req.Status != http.StatusOK || deliveries[req.Header.Get("X-Millrace-Delivery")] {
			t.Errorf("not once and for all: %v", req)
		}
		deliveries[req.Header.Get("X-Millrace-Delivery")] = true
		for _, e := range req.raw(t) {
			switch {
			case strings.Contains(string(e), "private-encrypted-"):
				encrypted = append(encrypted, string(e))
			case strings.Contains(string(e), `"prices"`):
				others = slices.Insert(others, 0, string(e))
			default:
				others = append(others, string(e))
			}
		}
	}
	return encrypted, others
}
