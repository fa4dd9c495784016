package session

import "github.com/prometheus/client_golang/prometheus"

// Metrics of sessions.
type Metrics struct {
	connections prometheus.Gauge
	opened      prometheus.Counter
	closed      *prometheus.CounterVec // by socket.CloseReason
	refused     *prometheus.CounterVec // by close code or HTTP status
	messages    prometheus.Counter
	errors      *prometheus.CounterVec // error frames by code
	panics      prometheus.Counter
}

// NewMetrics makes the metrics of package session and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_session_connections",
			Help: "Connections that are open now.",
		}),
		opened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_connections_opened_total",
			Help: "Connections that were accepted and given a socket id.",
		}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_closed_total",
			Help: "Accepted connections that have ended, by reason.",
		}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_connections_refused_total",
			Help: "Connection attempts that were refused, by close code, or by HTTP status where there was no upgrade.",
		}, []string{"code"}),
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_messages_received_total",
			Help: "Messages received from clients, well formed or not.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_session_errors_sent_total",
			Help: "Errors reported to clients on connections that stay open, by code.",
		}, []string{"code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_session_panics_total",
			Help: "Panics caught at the edge of a connection, which was closed.",
		}),
	}
	if r != nil {
		r.MustRegister(m.connections, m.opened, m.closed, m.refused, m.messages, m.errors, m.panics)
	}
	return m
}
