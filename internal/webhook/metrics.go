package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one engine.
type Metrics struct {
	events        *prometheus.CounterVec
	dropped       *prometheus.CounterVec
	refused       prometheus.Counter
	commits       prometheus.Histogram
	storeFailures prometheus.Counter
	pending       prometheus.Gauge
	sent          prometheus.Counter
	failed        *prometheus.CounterVec
	retries       prometheus.Counter
	requests      prometheus.Histogram
	delay         prometheus.Histogram
	broken        prometheus.Gauge
	dead          *prometheus.CounterVec
	letters       prometheus.Gauge
	evicted       prometheus.Counter
}

// NewMetrics makes the metrics of package webhook and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		events: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_events_total",
			Help: "Events taken for webhooks, by kind.",
		}, []string{"kind"}),
		dropped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_dropped_events_total",
			Help: "Events lost because they came faster than they could be stored, by kind.",
		}, []string{"kind"}),
		refused: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_untracked_subjects_total",
			Help: "Channels, members and users of which no webhook tells because too many are tracked.",
		}),
		commits: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_webhook_commit_seconds",
			Help:    "Time until a group of events was stored.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}),
		storeFailures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_store_failures_total",
			Help: "Attempts to store events that failed; they are repeated, and nothing is sent meanwhile.",
		}),
		pending: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_webhook_pending_events",
			Help: "Events that wait to be delivered, once for each endpoint.",
		}),
		sent: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_sent_events_total",
			Help: "Events that an endpoint has taken.",
		}),
		failed: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_failed_requests_total",
			Help: "Requests that were no success, by reason: timeout, network, status_3xx, status_4xx, status_5xx, status_other or app.",
		}, []string{"reason"}),
		retries: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_retries_total",
			Help: "Requests that repeat one that failed.",
		}),
		requests: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_webhook_request_seconds",
			Help:    "Duration of requests, failed ones too.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		delay: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_webhook_delay_seconds",
			Help:    "Time from the oldest event of a batch to its delivery.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 17),
		}),
		broken: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_webhook_open_breakers",
			Help: "Endpoints that fail again and again now.",
		}),
		dead: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_dead_events_total",
			Help: "Events that became dead letters, by reason: max_elapsed, max_attempts, no_retry, expired, overflow or removed.",
		}, []string{"reason"}),
		letters: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_webhook_dead_letters",
			Help: "Dead letters now; each is one batch of events.",
		}),
		evicted: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_evicted_letters_total",
			Help: "Dead letters removed because they were too many, too large or too old.",
		}),
	}
}
