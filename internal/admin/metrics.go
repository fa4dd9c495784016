package admin

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace/millrace/internal/problem"
)

// Metrics of one handler.
type Metrics struct {
	requests *prometheus.CounterVec
}

// NewMetrics makes the metrics of package admin and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_admin_requests_total",
			Help: "Requests to the admin API, by route and by the status of refusals; 2xx are those that were carried out.",
		}, []string{"route", "status"}),
	}
}

func (m *Metrics) observe(r route, p *problem.Problem) {
	status := "2xx"
	if p != nil {
		status = strconv.Itoa(p.Status)
	}
	m.requests.WithLabelValues(r.String(), status).Inc()
}
