package channel

import (
	"log/slog"
	"sync"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
)

// Options of an Engine. Zero fields mean the default.
type Options struct {
	Log     *slog.Logger // default none
	Metrics *Metrics     // default unregistered

	MaxRewind int // publications that a subscribe gets of the past; default 100
	Replay    Replay
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.MaxRewind <= 0 {
		o.MaxRewind = 100
	}
	o.Replay = o.Replay.withDefaults()
	return o
}

// Engine is what channels are to the connections of this node. It is safe for concurrent use;
// what is asked for one [Connection] must come one at a time.
type Engine struct {
	hub     *hub.Hub
	bus     bus.Bus
	log     *slog.Logger
	metrics *Metrics

	table     table
	spans     spans // of channels that connections replay
	maxRewind int
	step      Replay
	infos     sync.Map // *Connection to *infos
	pasts     sync.Map // *Connection to *requests
}

// New makes an Engine that publishes through b. h must be the receiver of b.
func New(h *hub.Hub, b bus.Bus, o Options) *Engine {
	o = o.withDefaults()
	e := &Engine{hub: h, bus: b, log: o.Log, metrics: o.Metrics, maxRewind: o.MaxRewind, step: o.Replay}
	e.table.init()
	return e
}
