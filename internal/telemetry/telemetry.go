// Package telemetry exports traces and metrics by OpenTelemetry, over OTLP/HTTP.
//
// It must never know what is measured: it exports all metrics of the Prometheus registry, and the
// caller of Start names a span. It sets none of OpenTelemetry's globals.
//
// Nothing waits for a collector: spans go into the SDK's bounded queue, in the order in which
// they end. What it cannot take, or deliver within about a minute, is lost; failed exports are
// counted. The SDK owns the goroutines; New starts them, Shutdown joins
// them and sends what waits. A nil *Telemetry costs nothing.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

const (
	scope           = "github.com/millrace/millrace"
	defaultInterval = time.Minute
	defaultName     = "millrace"
)

// Options of the export. Endpoint is required; other zero fields mean the default.
type Options struct {
	Endpoint       string            // base URL of an OTLP/HTTP collector; /v1/traces and /v1/metrics are added
	Headers        map[string]string // sent with every request, such as an API key
	ServiceName    string            // default "millrace"
	ServiceVersion string
	Gatherer       prometheus.Gatherer // whose metrics are exported; default none
	Interval       time.Duration       // between exports of metrics; default 1 min
	// SampleRatio of the traces that begin here is exported, from 0 to 1; of those that begin with a
	// caller, the ones that the caller samples.
	SampleRatio float64
	Log         *slog.Logger // default none
	Metrics     *Metrics     // default unregistered
}

func (o Options) withDefaults() Options {
	if o.ServiceName == "" {
		o.ServiceName = defaultName
	}
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Telemetry is a running export. Safe for concurrent use. A nil *Telemetry exports nothing.
type Telemetry struct {
	traces  *trace.TracerProvider
	metrics *metric.MeterProvider // nil: none
	tracer  api.Tracer
}

// New starts the export. ctx bounds the start only. Whether the collector can be reached is
// not checked.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	o = o.withDefaults()
	base, err := url.Parse(o.Endpoint)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("telemetry: endpoint %q is no http or https URL", o.Endpoint)
	}
	about, err := describe(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	t := new(Telemetry)
	if err := t.startTraces(ctx, base, about, &o); err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	if err := t.startMetrics(ctx, base, about, &o); err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: metrics: %w", err), t.Shutdown(ctx))
	}
	return t, nil
}

// describe says who exports.
func describe(ctx context.Context, o *Options) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{attribute.String("service.name", o.ServiceName)}
	if o.ServiceVersion != "" {
		attributes = append(attributes, attribute.String("service.version", o.ServiceVersion))
	}
	return resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(attributes...))
}

func (t *Telemetry) startTraces(ctx context.Context, base *url.URL, about *resource.Resource, o *Options) error {
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(below(base, "v1/traces")),
		otlptracehttp.WithHeaders(o.Headers),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		return err
	}
	t.traces = trace.NewTracerProvider(
		trace.WithBatcher(&spanExporter{SpanExporter: exporter, complaint: newComplaint(o, "traces")}),
		trace.WithResource(about),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(o.SampleRatio))))
	t.tracer = t.traces.Tracer(scope, api.WithInstrumentationVersion(o.ServiceVersion))
	return nil
}

func (t *Telemetry) startMetrics(ctx context.Context, base *url.URL, about *resource.Resource, o *Options) error {
	if o.Gatherer == nil {
		return nil
	}
	exporter, err := otlpmetrichttp.New(ctx,
		otlpmetrichttp.WithEndpointURL(below(base, "v1/metrics")),
		otlpmetrichttp.WithHeaders(o.Headers),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	if err != nil {
		return err
	}
	reader := metric.NewPeriodicReader(
		&metricExporter{Exporter: exporter, complaint: newComplaint(o, "metrics")},
		metric.WithInterval(o.Interval),
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(o.Gatherer))))
	t.metrics = metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(about))
	return nil
}

func below(base *url.URL, path string) string {
	u := *base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + path
	u.RawPath = ""
	return u.String()
}

// Shutdown sends what waits, until ctx ends, and stops. Spans that end later are lost.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.traces.Shutdown(ctx)
	if t.metrics != nil {
		err = errors.Join(err, t.metrics.Shutdown(ctx))
	}
	if err != nil {
		return fmt.Errorf("telemetry: shutdown: %w", err)
	}
	return nil
}
