package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metricsservice "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traceservice "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/millrace/millrace/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP/HTTP receiver.
type collector struct {
	*httptest.Server
	status int // of every answer, 200 when zero

	mu       sync.Mutex
	headers  []http.Header
	spans    []*tracepb.Span
	metrics  map[string]*metricspb.Metric // the newest by name
	resource map[string]string            // of the last request
	wrong    []error
	changed  chan struct{} // a request was answered
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{metrics: map[string]*metricspb.Metric{}, changed: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /base/v1/traces", func(w http.ResponseWriter, r *http.Request) {
		m := new(traceservice.ExportTraceServiceRequest)
		c.take(w, r, m, func() {
			for _, rs := range m.GetResourceSpans() {
				c.resource = attributes(rs.GetResource().GetAttributes())
				for _, ss := range rs.GetScopeSpans() {
					c.spans = append(c.spans, ss.GetSpans()...)
				}
			}
		})
	})
	mux.HandleFunc("POST /base/v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		m := new(metricsservice.ExportMetricsServiceRequest)
		c.take(w, r, m, func() {
			for _, rm := range m.GetResourceMetrics() {
				c.resource = attributes(rm.GetResource().GetAttributes())
				for _, sm := range rm.GetScopeMetrics() {
					for _, metric := range sm.GetMetrics() {
						c.metrics[metric.GetName()] = metric
					}
				}
			}
		})
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		c.Close()
		for _, err := range c.wrong {
			t.Errorf("collector: %v", err)
		}
	})
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request, m proto.Message, keep func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	zipped, err := gzip.NewReader(r.Body)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(zipped)
		err = errors.Join(err, proto.Unmarshal(body, m))
	}
	if err != nil {
		c.wrong = append(c.wrong, err)
	}
	if c.status != 0 {
		w.WriteHeader(c.status)
	} else {
		keep()
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
	select {
	case c.changed <- struct{}{}:
	default: // it is known already
	}
}

func attributes(all []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range all {
		out[kv.GetKey()] = strings.Trim(strings.TrimPrefix(strings.TrimPrefix(kv.GetValue().String(), "string_value:"), "int_value:"), `"`)
	}
	return out
}

// start exports to c; stop ends it, which sends what waits.
func start(t *testing.T, c *collector, change func(o *telemetry.Options)) (tel *telemetry.Telemetry, stop func()) {
	t.Helper()
	o := telemetry.Options{
		Endpoint: c.URL + "/base/", Headers: map[string]string{"X-Api-Key": "k"},
		ServiceName: "mill", ServiceVersion: "1.2.3", SampleRatio: 1,
	}
	if change != nil {
		change(&o)
	}
	tel, err := telemetry.New(t.Context(), o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := tel.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	t.Cleanup(stop)
	return tel, stop
}

func TestServerSpans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, path string
		answer             http.HandlerFunc
		span, status       string
		code               tracepb.Status_StatusCode
	}{
		{
			"a publish", "POST", "/apps/my-app/events?auth_key=k",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
			"POST /apps/{id}/events", "200", tracepb.Status_STATUS_CODE_UNSET,
		},
		{
			"an answer without a body", "GET", "/up", func(http.ResponseWriter, *http.Request) {},
			"GET /up", "200", tracepb.Status_STATUS_CODE_UNSET,
		},
		{
			"a channel name is no part of the route", "GET", "/apps/my-app/channels/presence-x/users",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			"GET /apps/{id}/channels/{id}/users", "404", tracepb.Status_STATUS_CODE_UNSET,
		},
		{
			"a view id may have a slash", "GET", "/apps/events/views/Auction/top",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
			"GET /apps/{id}/views/{id}", "304", tracepb.Status_STATUS_CODE_UNSET,
		},
		{
			"a failure of the server", "GET", "/apps/a/channels",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			"GET /apps/{id}/channels", "503", tracepb.Status_STATUS_CODE_ERROR,
		},
		{
			"early hints are not the answer", "GET", "/live",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints); w.WriteHeader(201) },
			"GET /live", "201", tracepb.Status_STATUS_CODE_UNSET,
		},
		{
			"paths and methods that callers make up have one name", "BREW", "/a/b/c/d/e/f/g",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			"_OTHER /{id}", "404", tracepb.Status_STATUS_CODE_UNSET,
		},
		{
			"a handler that panics", "GET", "/status", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"GET /status", "", tracepb.Status_STATUS_CODE_ERROR,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			to := newCollector(t)
			tel, stop := start(t, to, nil)
			request := httptest.NewRequest(c.method, c.path, nil)
			func() {
				defer func() { _ = recover() }()
				tel.Middleware(c.answer).ServeHTTP(httptest.NewRecorder(), request)
			}()
			stop()
			if len(to.spans) != 1 {
				t.Fatalf("got %d spans, want 1", len(to.spans))
			}
			s := to.spans[0]
			if s.GetName() != c.span || s.GetKind() != tracepb.Span_SPAN_KIND_SERVER || s.GetStatus().GetCode() != c.code {
				t.Errorf("got span %q of kind %v with status %v, want %q and %v", s.GetName(), s.GetKind(), s.GetStatus(), c.span, c.code)
			}
			if got := attributes(s.GetAttributes())["http.response.status_code"]; got != c.status {
				t.Errorf("got status code %q, want %q", got, c.status)
			}
		})
	}
}

func TestTraceGoesOn(t *testing.T) {
	t.Parallel()
	to := newCollector(t)
	tel, stop := start(t, to, func(o *telemetry.Options) { o.SampleRatio = 0 })
	boom := errors.New("disk full")
	handler := tel.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx, endApply := tel.Start(r.Context(), "apply")
		_, endCommit := tel.Start(ctx, "commit")
		endCommit(boom)
		endApply(nil)
	}))
	request := httptest.NewRequest("POST", "/apps/a/mutations", nil)
	handler.ServeHTTP(httptest.NewRecorder(), request) // begins here, so it is not sampled
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	stop()

	type span struct {
		Name, Trace, Parent, Failure string
	}
	names := map[string]string{"b7ad6b7169203331": "the caller"}
	for _, s := range to.spans {
		names[hex(s.GetSpanId())] = s.GetName()
	}
	var got []span
	for _, s := range to.spans {
		got = append(got, span{s.GetName(), hex(s.GetTraceId()), names[hex(s.GetParentSpanId())], s.GetStatus().GetMessage()})
	}
	slices.SortFunc(got, func(a, b span) int { return strings.Compare(a.Name, b.Name) })
	const trace = "0af7651916cd43dd8448eb211c80319c"
	want := []span{
		{"POST /apps/{id}/mutations", trace, "the caller", ""},
		{"apply", trace, "POST /apps/{id}/mutations", ""},
		{"commit", trace, "apply", "disk full"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func hex(id []byte) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range id {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func TestUpgradesHaveNoSpan(t *testing.T) {
	t.Parallel()
	to := newCollector(t)
	tel, stop := start(t, to, nil)
	w := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "/app/key", nil)
	request.Header.Set("Upgrade", "websocket")
	tel.Middleware(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		if got != http.ResponseWriter(w) {
			t.Errorf("got writer %T, want the server's own", got)
		}
	})).ServeHTTP(w, request)
	stop()
	if len(to.spans) != 0 {
		t.Errorf("got spans %v, want none", to.spans)
	}
}

func TestWriterCanBeSeenThrough(t *testing.T) {
	t.Parallel()
	to := newCollector(t)
	tel, _ := start(t, to, nil)
	w := httptest.NewRecorder()
	tel.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})).ServeHTTP(w, httptest.NewRequest("GET", "/up", nil))
	if !w.Flushed {
		t.Error("the answer was not flushed")
	}
}

func TestMetricsOfTheRegistryAreExported(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_test_things_total", Help: "Things."}, []string{"type"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_test_depth_bytes"})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "millrace_test_wait_seconds", Buckets: []float64{1, 2}})
	registry.MustRegister(counter, gauge, histogram)
	counter.WithLabelValues("a").Add(3)
	gauge.Set(7)
	histogram.Observe(1.5)

	to := newCollector(t)
	start(t, to, func(o *telemetry.Options) { o.Gatherer, o.Interval = registry, 10*time.Millisecond })
	<-to.changed // by the interval, not only at the end
	to.mu.Lock()
	defer to.mu.Unlock()
	if got := to.metrics["millrace_test_things_total"].GetSum(); got == nil || !got.GetIsMonotonic() ||
		got.GetDataPoints()[0].GetAsDouble() != 3 || attributes(got.GetDataPoints()[0].GetAttributes())["type"] != "a" {
		t.Errorf("got counter %v", to.metrics["millrace_test_things_total"])
	}
	if got := to.metrics["millrace_test_depth_bytes"].GetGauge().GetDataPoints(); len(got) != 1 || got[0].GetAsDouble() != 7 {
		t.Errorf("got gauge %v", got)
	}
	if got := to.metrics["millrace_test_wait_seconds"].GetHistogram().GetDataPoints(); len(got) != 1 ||
		got[0].GetCount() != 1 || got[0].GetSum() != 1.5 || !slices.Equal(got[0].GetBucketCounts(), []uint64{0, 1, 0}) {
		t.Errorf("got histogram %v", got)
	}
	if to.resource["service.name"] != "mill" || to.resource["service.version"] != "1.2.3" {
		t.Errorf("got resource %v", to.resource)
	}
	if got := to.headers[0].Get("X-Api-Key"); got != "k" {
		t.Errorf("got header %q, want k", got)
	}
}

func TestCollectorThatRefuses(t *testing.T) {
	t.Parallel()
	to := newCollector(t)
	to.status = http.StatusForbidden // which is not tried again
	registry := prometheus.NewRegistry()
	log := new(lockedBuffer)
	tel, stop := start(t, to, func(o *telemetry.Options) {
		o.Metrics = telemetry.NewMetrics(registry)
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	_, end := tel.Start(t.Context(), "apply")
	end(nil)
	stop() // succeeds: there is nothing that the operator could do now
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 || families[0].GetMetric()[0].GetCounter().GetValue() != 1 {
		t.Errorf("got metrics %v, want one failure", families)
	}
	if got := log.String(); strings.Count(got, "telemetry cannot be delivered") != 1 || !strings.Contains(got, "signal=traces") {
		t.Errorf("got log %q", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNilTelemetry(t *testing.T) { // not parallel: it counts allocations
	var tel *telemetry.Telemetry
	mux := http.NewServeMux()
	if got := tel.Middleware(mux); got != http.Handler(mux) {
		t.Errorf("got handler %T, want the one given", got)
	}
	ctx := context.Background()
	if allocs := testing.AllocsPerRun(100, func() {
		_, end := tel.Start(ctx, "apply")
		end(nil)
	}); allocs != 0 {
		t.Errorf("got %v allocations, want none", allocs)
	}
	if err := tel.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestEndpointThatIsNone(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "localhost:4318", "ftp://x", "http://", "http://a b"} {
		if _, err := telemetry.New(t.Context(), telemetry.Options{Endpoint: endpoint}); err == nil {
			t.Errorf("New accepted %q", endpoint)
		}
	}
}
