package view

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one engine.
type Metrics struct {
	subscriptions prometheus.Gauge
	feeds         prometheus.Gauge
	windows       prometheus.Gauge
	definitions   prometheus.Gauge
	frames        prometheus.Counter
	rows          prometheus.Counter
	caughtUp      prometheus.Counter
	resyncs       prometheus.Counter
	lost          prometheus.Counter
	refused       prometheus.Counter
}

// NewMetrics makes the metrics of package view and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		subscriptions: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_view_subscriptions",
			Help: "Subscriptions of connections to views now.",
		}),
		feeds: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_view_feeds",
			Help: "Distinct parts of views, such as one window, that at least one connection on this node watches now.",
		}),
		windows: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_view_windows",
			Help: "Distinct windows of derived views that are watched now.",
		}),
		definitions: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_view_definitions",
			Help: "Derived views that are defined now.",
		}),
		frames: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_view_publications_total",
			Help: "Changes published to watched parts of views, each counted once however many watch.",
		}),
		rows: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_view_snapshot_rows_total",
			Help: "Rows sent in snapshots.",
		}),
		caughtUp: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_view_catch_up_frames_total",
			Help: "Entities and deletions sent to single subscriptions to bring them up to date.",
		}),
		resyncs: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_view_resyncs_total",
			Help: "Times that a subscription of a slow connection was brought up to date by full entities.",
		}),
		lost: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_view_slow_consumers_total",
			Help: "Connections closed because what a subscription of theirs had missed was no longer known.",
		}),
		refused: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_view_snapshots_refused_total",
			Help: "Subscriptions refused because their snapshot had too many rows.",
		}),
	}
}
