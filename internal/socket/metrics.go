package socket

import "github.com/prometheus/client_golang/prometheus"

// Metrics of an engine.
type Metrics struct {
	connections   prometheus.Gauge
	slowConsumers prometheus.Counter
	dropped       prometheus.Counter
}

// NewMetrics registers the engine's metrics; a nil registerer leaves them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_socket_connections", Help: "WebSocket connections that are open or closing.",
		}),
		slowConsumers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_socket_slow_consumers_total", Help: "Connections closed because their queue was full.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_socket_dropped_frames_total", Help: "Frames dropped for slow consumers that are not disconnected.",
		}),
	}
	if r != nil {
		r.MustRegister(m.connections, m.slowConsumers, m.dropped)
	}
	return m
}
