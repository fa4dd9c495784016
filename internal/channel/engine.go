package channel

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
)

// Options of an Engine. Zero fields mean the default.
type Options struct {
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered

	Observer Observer // default none
}

// Engine decides everything about channels on this node. It is safe for concurrent use;
// what is asked for one [Connection] must come one at a time.
type Engine struct {
	hub     *hub.Hub
	bus     bus.Bus
	now     func() time.Time
	log     *slog.Logger
	metrics *Metrics

	observer Observer // may be nil

	table   table
	notices schedule
	infos   sync.Map // *Connection to *infos
}

// New makes an Engine that publishes through b. h must be the receiver of b.
func New(h *hub.Hub, b bus.Bus, o Options) *Engine {
	e := &Engine{hub: h, bus: b, now: o.Now, log: o.Log, metrics: o.Metrics, observer: o.Observer}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.metrics == nil {
		e.metrics = NewMetrics(nil)
	}
	e.table.init()
	e.notices.init(e.noticeDue)
	return e
}

// Shutdown drops delayed notices and waits for those being sent, at most until ctx ends.
// After it the engine starts nothing by itself; what it is asked to do it still does.
func (e *Engine) Shutdown(ctx context.Context) error { return e.notices.shutdown(ctx) }
