package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/metrics"
)

func TestMetricsAreTextWithTheProcessesOwn(t *testing.T) {
	t.Parallel()
	registry := metrics.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_test_things_total", Help: "Things."})
	registry.MustRegister(counter)
	counter.Inc()
	server := httptest.NewServer(metrics.Handler(registry))
	t.Cleanup(server.Close)

	r, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	got, _, _ := strings.Cut(r.Header.Get("Content-Type"), "; escaping=")
	if want := "text/plain; version=0.0.4; charset=utf-8"; got != want {
		t.Errorf("content type: got %q, want %q", got, want)
	}
	for _, want := range []string{"millrace_test_things_total 1\n", "go_goroutines "} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the answer does not hold %q", want)
		}
	}
}
