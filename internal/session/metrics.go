package session

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of sessions.
type Metrics struct {
	connections prometheus.Gauge
	opened      *prometheus.CounterVec // by protocol
	closed      *prometheus.CounterVec // by protocol and socket.CloseReason
	refused     *prometheus.CounterVec // by protocol and close code, HTTP status or issue
	messages    *prometheus.CounterVec // by protocol
	errors      *prometheus.CounterVec // by protocol and code
	forced      *prometheus.CounterVec // by protocol and close code or issue
	panics      prometheus.Counter

	waiting, breakerOpen     prometheus.Gauge
	inline                   *prometheus.CounterVec // by inlineReason
	batches, cleanupFailures prometheus.Counter
}

// NewMetrics makes the metrics of sessions and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		connections: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_connections",
			Help: "Connections that are open now.",
		}),
		opened: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_opened_total",
			Help: "Connections that were accepted, by protocol: channels or views.",
		}, []string{"protocol"}),
		closed: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_closed_total",
			Help: "Accepted connections that have ended, by reason.",
		}, []string{"protocol", "reason"}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_refused_total",
			Help: "Connection attempts that were refused, by close code or error code, or by HTTP status where there is none.",
		}, []string{"protocol", "code"}),
		messages: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_messages_received_total",
			Help: "Messages received from clients, well formed or not.",
		}, []string{"protocol"}),
		errors: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_errors_sent_total",
			Help: "Errors reported to clients on open connections, by code.",
		}, []string{"protocol", "code"}),
		forced: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_forced_total",
			Help: "Open connections that the server has closed, by close code or error code.",
		}, []string{"protocol", "code"}),
		panics: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_panics_total",
			Help: "Panics caught at the edge of a connection, which was closed.",
		}),
		waiting: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_cleanup_waiting",
			Help: "Connections that have ended and whose effects on others wait for a worker, or are under way.",
		}),
		breakerOpen: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_cleanup_breaker_open",
			Help: "1 while connections clean up by themselves because the workers failed too often, otherwise 0.",
		}),
		inline: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_cleanup_inline_total",
			Help: "Connections that carried out the effects of their end by themselves, by reason: stopped (no workers), full (queue) or breaker.",
		}, []string{"reason"}),
		batches: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_cleanup_batches_total",
			Help: "Batches of ended connections that workers have carried out.",
		}),
		cleanupFailures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_cleanup_failures_total",
			Help: "Ended connections of which others were not told everything.",
		}),
	}
}
