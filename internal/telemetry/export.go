package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
)

// The SDK hands errors of an exporter to a global handler, which writes them to the standard
// logger. The exporters here keep them and complain themselves.
type (
	spanExporter struct {
		trace.SpanExporter
		*complaint
	}
	metricExporter struct {
		metric.Exporter
		*complaint
	}
)

// ExportSpans implements trace.SpanExporter. It never fails.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	e.judge(e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

// Export implements metric.Exporter. It never fails.
func (e *metricExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	e.judge(e.Exporter.Export(ctx, metrics))
	return nil
}

// complaint counts failed exports, and logs when the collector goes and comes back.
type complaint struct {
	log      *slog.Logger
	failures prometheus.Counter
	isDown   atomic.Bool
}

func newComplaint(o *Options, signal string) *complaint {
	return &complaint{log: o.Log.With("signal", signal), failures: o.Metrics.failures.WithLabelValues(signal)}
}

func (c *complaint) judge(err error) {
	if err == nil {
		if c.isDown.Swap(false) {
			c.log.Info("telemetry is delivered again")
		}
		return
	}
	c.failures.Inc()
	if !c.isDown.Swap(true) {
		c.log.Warn("telemetry cannot be delivered", "err", err)
	}
}
