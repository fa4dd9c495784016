package http1

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// leaveReason says why a connection of the fast path was left to net/http.
type leaveReason string

const (
	leaveUnusual   leaveReason = "unusual"
	leaveLargeHead leaveReason = "large_head"
	leaveHandler   leaveReason = "handler" // by HandOver
)

// Metrics of one server.
type Metrics struct {
	fast, netHTTP prometheus.Gauge
	left          *prometheus.CounterVec
}

// NewMetrics makes the metrics of package http1 and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	connections := auto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "millrace_http1_connections",
		Help: "HTTP connections of clients and publishers that are open now, without WebSockets, by what serves them: fast_path or net_http.",
	}, []string{"path"})
	return &Metrics{
		fast: connections.WithLabelValues("fast_path"), netHTTP: connections.WithLabelValues("net_http"),
		left: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_http1_left_connections_total",
			Help: "Connections that the fast path left to net/http, by reason: unusual (a request), large_head, or handler (of an answer that streams or waits).",
		}, []string{"reason"}),
	}
}

// countLocked tells how many connections there are.
func (s *Server) countLocked() {
	s.o.Metrics.fast.Set(float64(len(s.conns)))
	s.o.Metrics.netHTTP.Set(float64(len(s.handed)))
}
