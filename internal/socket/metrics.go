package socket

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of an engine.
type Metrics struct {
	connections   prometheus.Gauge
	slowConsumers prometheus.Counter
	dropped       prometheus.Counter
}

// NewMetrics registers the engine's metrics; a nil registerer leaves them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		connections: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_socket_connections", Help: "WebSocket connections that are open or closing.",
		}),
		slowConsumers: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_socket_slow_consumers_total", Help: "Connections closed because their queue was full.",
		}),
		dropped: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_socket_dropped_frames_total", Help: "Frames dropped for slow consumers that are not disconnected.",
		}),
	}
}
