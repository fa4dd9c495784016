package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// BenchmarkEndpoint tells of client events as fast as they are delivered to one endpoint over
// the loopback, each stored before it is sent. The clock stops when all have arrived.
func BenchmarkEndpoint(b *testing.B) {
	for _, size := range []int{100, 1} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			window := 300 + 100*size // events under way
			underWay := make(chan struct{}, window)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var parsed struct{ Events []json.RawMessage }
				if json.Unmarshal(body, &parsed) != nil {
					b.Errorf("body %s", body)
				}
				for range parsed.Events {
					<-underWay
				}
			}))
			defer server.Close()
			s := openStore(b, b.TempDir())
			defer closeStore(b, s)
			n := start(b, outbox.Options{Store: s}, webhook.Endpoint{
				ID: "hook", URL: server.URL, EventTypes: []string{"client_event"}, Batching: app.WebhookBatching{Size: size},
			})
			defer func() { _ = n.stop() }()
			data := []byte(`{"text":"some text that somebody has typed","at":1700000000}`)
			id := protocol.NewSocketID()
			told, start := 0, time.Now()
			b.ReportAllocs()
			for b.Loop() {
				underWay <- struct{}{}
				n.ClientEvent("app", "private-room", "client-typing", data, id, "")
				told++
			}
			for range window { // once all are here, all have arrived
				underWay <- struct{}{}
			}
			b.ReportMetric(float64(told)/time.Since(start).Seconds(), "events/s")
		})
	}
}

// BenchmarkTell is what the teller pays under its lock.
func BenchmarkTell(b *testing.B) {
	discard := transport{"hook": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	n := start(b, outbox.Options{Transport: discard}, hook("hook"))
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("presence-%d", i)
	}
	b.Run("channel flaps", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			name := names[i%len(names)]
			n.Occupied("app", name)
			n.Vacated("app", name)
		}
	})
	b.Run("app without webhooks", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n.Occupied("other", "prices")
		}
	})
	_ = n.Shutdown(context.Background())
}
