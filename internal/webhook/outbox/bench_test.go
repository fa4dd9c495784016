package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// BenchmarkRecovery takes over 100,000 members in 1,000 channels that a former process has told, as a
// start does, and says what each costs in memory while it may come back.
func BenchmarkRecovery(b *testing.B) {
	const members = 100_000
	s := openStore(b, b.TempDir())
	defer closeStore(b, s)
	all := make([]webhook.Subject, members)
	for i := range all {
		all[i] = webhook.Subject{App: "app", Kind: webhook.SubjectMember, Channel: fmt.Sprintf("presence-room-%d", i%1000), User: fmt.Sprintf("user-%d", i)}
	}
	leave(b, s, all...)
	var before, after runtime.MemStats
	var e *outbox.Outbox
	for b.Loop() {
		e = outbox.New(outbox.Options{Apps: apps(b), Store: s})
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := e.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
	}
	runtime.KeepAlive(e)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/members, "B/member")
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
