package http1

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsTellWhatServesConnections: how many either loop has, and why some went over.
func TestMetricsTellWhatServesConnections(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	o := options()
	o.Metrics = NewMetrics(registry)
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" && HandOver(w, r) {
			return
		}
		echo(w, r)
	}), o)
	for _, text := range []string{
		get, post, // which stay
		put, "GET /a HTTP/1.1\r\nHost: h\r\nTe: trailers\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 10000) + "\r\n\r\n",
		asked("/stream"),
	} {
		p := dial(t, n.l)
		p.say(text)
		p.hears()
	}
	want := map[string]float64{
		"millrace_http1_connections fast_path": 2, "millrace_http1_connections net_http": 4,
		"millrace_http1_left_connections_total unusual": 2, "millrace_http1_left_connections_total large_head": 1,
		"millrace_http1_left_connections_total handler": 1,
	}
	if diff := cmp.Diff(want, values(t, registry)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := n.shutdown(t); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if strings.HasPrefix(name, "millrace_http1_connections") {
			want[name] = 0
		}
	}
	if diff := cmp.Diff(want, values(t, registry)); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
}

// values are the metrics of r, by name and label.
func values(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}
