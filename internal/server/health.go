package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/httpapi/operators"
)

const (
	// lookPause is the time between two looks at a store; /up says what the last one has shown.
	lookPause = 5 * time.Second
	// lookTimeout is how long a look may take. A disk that hangs holds it up for longer, which
	// is a failure, too.
	lookTimeout = 2 * time.Second
)

// storeCheck asks one store now and then whether it can be used, so that a request for the health of
// the node reads the last result and neither waits nor costs a query.
type storeCheck struct {
	name string
	ask  func(context.Context) error
	log  *slog.Logger

	isFailing atomic.Bool
	since     atomic.Int64 // Unix nanoseconds at which the look under way began; 0: none is
}

// watchStores is called once the stores are open.
func (s *Server) watchStores(prom prometheus.Registerer) {
	switch {
	case s.store != nil:
		s.storeChecks = append(s.storeChecks, &storeCheck{name: "embedded", ask: s.store.Health, log: s.log})
	case s.hasNoRoom:
		s.storeChecks = append(s.storeChecks, &storeCheck{name: "embedded", ask: s.lookForRoom(), log: s.log})
	}
	if s.postgres != nil {
		s.storeChecks = append(s.storeChecks, &storeCheck{name: "postgres", ask: s.postgres.Health, log: s.log})
	}
	prom.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_server_failing_stores",
		Help: "Stores that could not be used when they were looked at last; while there are any, /up says DEGRADED.",
	}, func() float64 { return float64(s.failingStores()) }))
}

// run looks until ctx ends.
func (v *storeCheck) run(ctx context.Context) {
	pause := time.NewTicker(lookPause)
	defer pause.Stop()
	for {
		v.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (v *storeCheck) look(ctx context.Context) {
	v.since.Store(time.Now().UnixNano())
	defer v.since.Store(0)
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := v.ask(limited)
	if ctx.Err() != nil {
		return // the node ends
	}
	switch wasFailing := v.isFailing.Swap(err != nil); {
	case err != nil && !wasFailing:
		v.log.ErrorContext(ctx, "store cannot be used; /up says DEGRADED", "store", v.name, "err", err)
	case err == nil && wasFailing:
		v.log.InfoContext(ctx, "store can be used again", "store", v.name)
	}
}

// isWell reports what the last look has shown, unless one does not come to an end.
func (v *storeCheck) isWell() bool {
	since := v.since.Load()
	isStuck := since != 0 && time.Now().UnixNano()-since > int64(2*lookTimeout)
	return !isStuck && !v.isFailing.Load()
}

func (s *Server) failingStores() (n int) {
	for _, v := range s.storeChecks {
		if !v.isWell() {
			n++
		}
	}
	return n
}

// health is how the parts do that may fail while the node serves (pusher 5.10). None of
// them is a reason to send clients away: without its stores a node goes on with what it has.
func (s *Server) health(context.Context) operators.Health {
	if !s.webhooks.IsStoring() || s.failingStores() > 0 {
		return operators.HealthDegraded
	}
	return operators.HealthOK
}
