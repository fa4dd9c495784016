package hub

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace/millrace/internal/backpressure"
)

// Metrics of one hub.
type Metrics struct {
	waiting atomic.Pointer[backpressure.Budget] // of the hub; set by New

	deliveries prometheus.Counter
	suppressed prometheus.Counter
	writes     prometheus.Counter
	encodings  prometheus.Counter
	batch      prometheus.Histogram
	waits      prometheus.Counter
	refusals   prometheus.Counter
	overflows  prometheus.Counter
	gaps       prometheus.Counter

	filterRefusals prometheus.Counter

	lags    prometheus.Counter
	lagging prometheus.Gauge
}

// NewMetrics makes the metrics of package hub and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	m := &Metrics{
		deliveries: auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_deliveries_total", Help: "Publications handed to connections, counted once for each connection."}),
		suppressed: auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_filtered_total", Help: "Publications that a connection was not sent because its subscription is for other events."}),
		writes:     auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_writes_total", Help: "Writes to connections; deliveries per write tell how well batching works."}),
		encodings:  auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_encodings_total", Help: "Publications encoded: once for each shard and protocol with subscribers, however many these are."}),
		batch: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_hub_batch_frames",
			Help:    "Publications of one channel that one shard sent together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		gaps:           auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_gaps_total", Help: "Gaps in what this node received of a topic, which its subscribers therefore missed. Without a cluster there are none."}),
		waits:          auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_backpressure_waits_total", Help: "Publishes that had to wait because fan-out was behind."}),
		refusals:       auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_backpressure_refusals_total", Help: "Publishes that were refused because fan-out stayed behind."}),
		overflows:      auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_held_overflows_total", Help: "Subscriptions that had to start over because too much was published before they went live."}),
		filterRefusals: auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_filter_refusals_total", Help: "Filters of events that were refused because all of them together took too much memory."}),
		lags:           auto.NewCounter(prometheus.CounterOpts{Name: "millrace_hub_lags_total", Help: "Times that a subscription of a view stopped being delivered to because its connection read too slowly."}),
		lagging:        auto.NewGauge(prometheus.GaugeOpts{Name: "millrace_hub_lagging_subscriptions", Help: "Subscriptions of views that miss changes now and are to be brought up to date."}),
	}
	auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "millrace_hub_inbox_bytes", Help: "Estimated bytes of publications that wait for fan-out, counted once for each shard."}, m.inboxBytes)
	return m
}

func (m *Metrics) inboxBytes() float64 {
	if b := m.waiting.Load(); b != nil {
		return float64(b.Used())
	}
	return 0
}
