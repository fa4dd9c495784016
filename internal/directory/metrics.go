package directory

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace/millrace/internal/app"
)

// Metrics of one directory.
type Metrics struct {
	apps           *prometheus.GaugeVec
	changes        *prometheus.CounterVec
	reloadFailures prometheus.Counter
}

// NewMetrics makes the metrics of package directory and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		apps: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_directory_apps",
			Help: "Apps: from the configuration file, from the store, and stored apps that cannot be served.",
		}, []string{"state"}),
		changes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_directory_changes_total",
			Help: "Changes of stored apps that were asked for, by what became of them.",
		}, []string{"action", "result"}),
		reloadFailures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_directory_reload_failures_total",
			Help: "Attempts to read the apps of the store that failed while the server ran.",
		}),
	}
}

func (m *Metrics) count(file, stored, invalid int) {
	m.apps.WithLabelValues("file").Set(float64(file))
	m.apps.WithLabelValues("stored").Set(float64(stored))
	m.apps.WithLabelValues("invalid").Set(float64(invalid))
}

func (m *Metrics) changed(action string, err error) {
	m.changes.WithLabelValues(action, result(err)).Inc()
}

// result names what became of a change.
func result(err error) string {
	_, isInvalid := errors.AsType[*Invalid](err)
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, app.ErrConflict):
		return "conflict"
	case isInvalid, errors.Is(err, app.ErrKeyTaken):
		return "invalid"
	default:
		return "refused"
	}
}
