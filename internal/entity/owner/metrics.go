package owner

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace/millrace/internal/entity"
)

// numOps is how many operations there are.
const numOps = entity.OpDelete + 1

// refusal says why a batch was not applied.
type refusal string

const (
	refusalInvalid      refusal = "invalid"
	refusalBackpressure refusal = "backpressure"
	refusalClosed       refusal = "closed"
	refusalCancelled    refusal = "cancelled"
	refusalStore        refusal = "store"
)

// Metrics of one engine.
type Metrics struct {
	mutations [numOps]prometheus.Counter
	batches   prometheus.Counter
	repeats   prometheus.Counter
	refusals  *prometheus.CounterVec
	commit    prometheus.Histogram
	group     prometheus.Histogram
	waiting   prometheus.Gauge
}

// NewMetrics makes the metrics of package owner and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	mutations := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_entity_mutations_total",
		Help: "Mutations that changed an entity.",
	}, []string{"op"})
	return &Metrics{
		mutations: [numOps]prometheus.Counter{
			entity.OpPatch:  mutations.WithLabelValues("patch"),
			entity.OpUpsert: mutations.WithLabelValues("upsert"),
			entity.OpDelete: mutations.WithLabelValues("delete"),
		},
		batches: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_entity_batches_total",
			Help: "Batches that were applied.",
		}),
		repeats: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_entity_repeats_total",
			Help: "Batches that had been applied before, by their idempotency key, and were not applied again.",
		}),
		refusals: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_entity_refusals_total",
			Help: "Batches that were not applied, or whose caller did not wait: reason is invalid, backpressure, closed, cancelled or store.",
		}, []string{"reason"}),
		commit: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_entity_commit_seconds",
			Help:    "Time the store took to make a group of batches durable.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		group: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_entity_group_mutations",
			Help:    "Mutations that were applied together, in one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
		waiting: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_entity_waiting_bytes",
			Help: "Size of the mutations that wait to be applied or are being applied.",
		}),
	}
}

func (m *Metrics) count(changes []entity.Decision) {
	var n [numOps]int
	for i := range changes {
		n[changes[i].Op]++
	}
	for op, count := range n {
		if count > 0 {
			m.mutations[op].Add(float64(count))
		}
	}
}

// answer counts a batch that is applied, or was before.
func (m *Metrics) answer(p *pending) {
	switch {
	case p.refusal != nil:
	case p.isRepeat:
		m.repeats.Inc()
	default:
		m.batches.Inc()
	}
}

func (m *Metrics) refuse(err error) {
	reason := refusalStore
	_, isInvalid := errors.AsType[*entity.Error](err)
	switch {
	case isInvalid:
		reason = refusalInvalid
	case errors.Is(err, entity.ErrBackpressure):
		reason = refusalBackpressure
	case errors.Is(err, entity.ErrClosed):
		reason = refusalClosed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		reason = refusalCancelled
	}
	m.refusals.WithLabelValues(string(reason)).Inc()
}
