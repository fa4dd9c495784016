package channel

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one engine.
type Metrics struct {
	subscriptions   prometheus.Gauge
	channels        prometheus.Gauge
	signedIn        prometheus.Gauge
	usersOnline     prometheus.Gauge
	publishedAPI    prometheus.Counter
	publishedClient prometheus.Counter
	refused         *prometheus.CounterVec // by refusal
	cacheHits       prometheus.Counter
	cacheMisses     prometheus.Counter
	cacheErrors     prometheus.Counter

	replayed prometheus.Counter
}

// NewMetrics makes the metrics of package channel and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	subscriptions := auto.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_channel_subscriptions",
		Help: "Subscriptions of connections to channels now.",
	})
	channels := auto.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_channel_occupied_channels",
		Help: "Channels with at least one subscription on this node now.",
	})
	signedIn := auto.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_channel_signed_in_connections",
		Help: "Connections that are signed in as a user now.",
	})
	usersOnline := auto.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_channel_online_users",
		Help: "Users with at least one signed-in connection on this node now.",
	})
	published := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_channel_publications_total",
		Help: "Events accepted, once for each channel, by source: api or client.",
	}, []string{"source"})
	refused := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_channel_client_events_refused_total",
		Help: "Client events that were refused, by reason.",
	}, []string{"reason"})
	replays := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_channel_cache_reads_total",
		Help: "Reads of the cached event for a joiner, by result: hit, miss or error.",
	}, []string{"result"})
	return &Metrics{
		subscriptions:   subscriptions,
		channels:        channels,
		signedIn:        signedIn,
		usersOnline:     usersOnline,
		publishedAPI:    published.WithLabelValues("api"),
		publishedClient: published.WithLabelValues("client"),
		refused:         refused,
		cacheHits:       replays.WithLabelValues("hit"),
		cacheMisses:     replays.WithLabelValues("miss"),
		cacheErrors:     replays.WithLabelValues("error"),
		replayed: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_channel_replayed_total",
			Help: "Events of the past that were sent to connections that resumed or rewound a channel.",
		}),
	}
}
