package session

import "github.com/prometheus/client_golang/prometheus"

// Metrics of sessions.
type Metrics struct {
	connections prometheus.Gauge
	opened      *prometheus.CounterVec // by face
	closed      *prometheus.CounterVec // by face and socket.CloseReason
	refused     *prometheus.CounterVec // by face and close code, HTTP status or issue
	messages    *prometheus.CounterVec // by face
	errors      *prometheus.CounterVec // by face and code
	forced      *prometheus.CounterVec // by face and close code or issue
	panics      prometheus.Counter

	waiting, breakerOpen     prometheus.Gauge
	inline                   *prometheus.CounterVec // by inlineReason
	batches, cleanupFailures prometheus.Counter
}

// NewMetrics makes the metrics of sessions and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_connections",
			Help: "Connections that are open now.",
		}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_opened_total",
			Help: "Connections that were accepted, by face: channels or views.",
		}, []string{"face"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_closed_total",
			Help: "Accepted connections that have ended, by reason.",
		}, []string{"face", "reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_refused_total",
			Help: "Connection attempts that were refused, by close code or error code, or by HTTP status where there is none.",
		}, []string{"face", "code"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_messages_received_total",
			Help: "Messages received from clients, well formed or not.",
		}, []string{"face"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_errors_sent_total",
			Help: "Errors reported to clients on open connections, by code.",
		}, []string{"face", "code"}),
		forced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_forced_total",
			Help: "Open connections that the server has closed, by close code or error code.",
		}, []string{"face", "code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_panics_total",
			Help: "Panics caught at the edge of a connection, which was closed.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_cleanup_waiting",
			Help: "Connections that have ended and whose effects on others wait for a worker, or are under way.",
		}),
		breakerOpen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_cleanup_breaker_open",
			Help: "1 while connections clean up by themselves because the workers failed too often, otherwise 0.",
		}),
		inline: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_cleanup_inline_total",
			Help: "Connections that carried out the effects of their end by themselves, by reason: stopped (no workers), full (queue) or breaker.",
		}, []string{"reason"}),
		batches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_cleanup_batches_total",
			Help: "Batches of ended connections that workers have carried out.",
		}),
		cleanupFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_cleanup_failures_total",
			Help: "Ended connections of which others were not told everything.",
		}),
	}
	if r != nil {
		r.MustRegister(m.connections, m.opened, m.closed, m.refused, m.messages, m.errors, m.forced, m.panics,
			m.waiting, m.breakerOpen, m.inline, m.batches, m.cleanupFailures)
	}
	return m
}
