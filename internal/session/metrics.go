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
	panics      prometheus.Counter
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
