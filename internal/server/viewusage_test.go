package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

// billing is an endpoint for usage events.
type billing struct {
	*httptest.Server
	mu     sync.Mutex
	events []map[string]any // guarded by mu
}

func newBilling(t *testing.T) *billing {
	t.Helper()
	b := &billing{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var batch struct {
			Events []struct{ Event map[string]any }
		}
		if err == nil {
			err = json.Unmarshal(body, &batch)
		}
		if err != nil || r.Header.Get("Authorization") != "Bearer billing-token" {
			t.Errorf("%v: %s of %q", err, body, r.Header)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, e := range batch.Events {
			b.events = append(b.events, e.Event)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *billing) all() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// TestU01U02U07 shows that usage leaves the node; its details are tests of the packages
// session/views and meter.
func TestU01U02U07UsageOfAConnectionIsReported(t *testing.T) {
	t.Parallel()
	b := newBilling(t)
	node := testkit.Start(t, testkit.ServerS("usage.endpoint="+b.URL, "usage.token=billing-token", "usage.flush_interval=50ms")...)
	for i := range 120 {
		mutate(t, node, patch("k"+string(rune('a'+i%26))+string(rune('a'+i/26)), `{"n":1}`))
	}
	_, err := testkit.DialPeer(node.Addr(), "/views/"+testkit.Key, nil, nil)
	if _, ok := errors.AsType[*testkit.RefusedError](err); !ok {
		t.Fatalf("got %v, want a refusal", err) // U07: no event
	}
	token, _, err := testkit.SessionToken(testkit.K1(), "", map[string]any{"sub": "user:17", "metering_key": "team-4"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := testkit.DialPeer(node.Addr(), "/views/"+testkit.Key+"?hs_token="+token, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := newViewer(p)
	v.subscribe(t, "Auction/list", "")
	var sizes []float64 // on the wire
	for range 3 {
		f, err := p.Next(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, float64(len(f.Payload)))
	}
	mutate(t, node, patch("x", `{"n":1}`))
	f, err := p.Next(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	sizes = append(sizes, float64(len(f.Payload)))
	p.Cut()
	want := []map[string]any{
		{"type": "connection_established", "key_class": "publishable"},
		{"type": "subscription_created", "view_id": "Auction/list"},
		{"type": "update_sent", "view_id": "Auction/list", "messages": 1.0, "bytes": sizes[0]},
		{"type": "snapshot_sent", "view_id": "Auction/list", "rows": 50.0, "messages": 1.0, "bytes": sizes[1]},
		{"type": "snapshot_sent", "view_id": "Auction/list", "rows": 70.0, "messages": 1.0, "bytes": sizes[2]},
		{"type": "update_sent", "view_id": "Auction/list", "messages": 1.0, "bytes": sizes[3]},
		{"type": "subscription_removed", "view_id": "Auction/list"},
		{"type": "connection_closed", "subscription_count": 1.0},
	}
	if err := testkit.Eventually(t.Context(), func() error {
		if n := len(b.all()); n < len(want) {
			return errors.New("too few events")
		}
		return nil
	}); err != nil {
		t.Fatalf("%v: %v", err, b.all())
	}
	got := b.all()
	client := got[0]["client_id"]
	for _, e := range got {
		if e["subject"] != "user:17" || e["metering_key"] != "team-4" || e["client_id"] != client {
			t.Errorf("event of somebody else: %v", e)
		}
		if id, ok := e["deployment_id"]; id != nil || !ok { // U06
			t.Errorf("deployment_id is not null: %v", e)
		}
		for _, name := range []string{"subject", "metering_key", "client_id", "deployment_id", "remote_addr", "duration_secs"} {
			delete(e, name)
		}
	}
	const maxHeader = 10 // of a frame; that of a live one is counted
	if n, ok := got[5]["bytes"].(float64); ok && n > sizes[3] && n <= sizes[3]+maxHeader {
		got[5]["bytes"] = sizes[3]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestU08EveryAttemptToConnectIsAudited(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	node := testkit.Start(t, testkit.ServerS("audit.file="+file)...)
	good, _, err := testkit.SessionToken(testkit.K1(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"", "?hs_token=bad", "?hs_token=" + good} {
		p, err := testkit.DialPeer(node.Addr(), "/views/"+testkit.Key+target, nil, nil)
		if err == nil {
			p.Cut()
		}
	}
	stop(t, node)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var record struct {
			Event struct {
				Type    string `json:"event_type"`
				Success bool
				Code    string `json:"error_code"`
			}
			ClientIP string `json:"client_ip"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		e := record.Event
		if e.Success {
			e.Code = "success"
		}
		got = append(got, e.Type+" "+e.Code+" "+record.ClientIP)
	}
	want := []string{
		"auth_attempt token-missing 127.0.0.1", "auth_attempt token-invalid-format 127.0.0.1", "auth_attempt success 127.0.0.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
