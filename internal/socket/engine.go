package socket

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/descriptor"
	"github.com/millrace/millrace/internal/timerwheel"
)

// tick is the accuracy of timers and of IdleFor.
const tick = 100 * time.Millisecond

const (
	// readBuffer is the size of the buffer that a turn borrows: several of the messages that
	// clients send, and little enough for thousands of handlers that block at a time.
	readBuffer = 8 << 10
	// inlineBuffer is the buffer size of a poller which takes turns itself.
	inlineBuffer = 128 << 10
)

const (
	// maxParkedWorkers bounds the goroutines kept for the next turns, per processor.
	maxParkedWorkers = 4
	// maxUnbegun is how many goroutines may wait for a processor before no more events are
	// handed out: further events wait in the kernel instead.
	maxUnbegun = 64
)

// ErrStopped is returned when a connection is opened on an engine that has ended.
var ErrStopped = errors.New("socket: engine has stopped")

// Options of an Engine. Zero fields mean the default.
type Options struct {
	Pollers int // epoll pollers, default one per two processors, at least one
	// Inline runs handlers on the poller itself. For handlers that never block, such as a
	// load generator's: one blocking handler would stop all connections of its poller.
	Inline bool
	// FirstSpare is the first of the descriptors that are kept for others than connections, and
	// MostSpare how many connections may have one until they are told so; default none.
	FirstSpare, MostSpare int

	Log     *slog.Logger // default none
	Metrics *Metrics     // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Pollers <= 0 {
		o.Pollers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Engine runs connections. Upgrade and Dial may be called once Run has been; they are safe
// from any goroutine.
type Engine struct {
	inline  bool
	log     *slog.Logger
	metrics *Metrics
	started time.Time
	wheels  []*timerwheel.Wheel[Conn]
	pollers []*poller // empty where there is no epoll
	reapers []*reaper // one per wheel; empty where handlers run on the poller
	work    chan *Conn

	linger, slowLinger time.Duration // the constants, unless a test has more to read; immutable once in use

	now     atomic.Uint32 // ticks since started, at least 1
	next    atomic.Uint32 // wheel for the next connection
	parked  atomic.Int32  // workers waiting for a turn
	unbegun atomic.Int32  // workers that were started and have not run yet
	workers sync.WaitGroup

	traces traces
	stalls stalls
	// checked is when stalls were; owned by turnWheels.
	checked uint32
	spare   descriptor.Spare
	shelf   bufpool.Shelf // large replies that wait for several connections

	mu      sync.Mutex
	stopped bool
	conns   map[*Conn]struct{} // connections on a goroutine of their own; guarded by mu
	open    sync.WaitGroup     // all connections; Add under mu while not stopped
}

// New makes an engine. Its pollers hold descriptors until Run has ended.
func New(o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{
		inline: o.Inline, log: o.Log, metrics: o.Metrics, started: time.Now(),
		work: make(chan *Conn), conns: make(map[*Conn]struct{}),
		linger: lingerTimeout, slowLinger: slowLinger,
	}
	e.now.Store(1)
	e.spare.First, e.spare.Most = o.FirstSpare, o.MostSpare
	for range o.Pollers {
		e.wheels = append(e.wheels, new(timerwheel.Wheel[Conn]))
		if !o.Inline {
			e.reapers = append(e.reapers, newReaper(e))
		}
	}
	return e, e.openPollers(o.Pollers)
}

// Run polls until ctx ends, then cuts every connection that is left, so that each handler's
// Closed has been called, and joins all goroutines.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stop := make(chan struct{}) // closed when every connection has ended
	for _, p := range e.pollers {
		wg.Go(p.run) // ends with p.stop
	}
	for _, r := range e.reapers {
		wg.Go(func() { r.run(stop) })
	}
	wg.Go(func() { e.turnWheels(stop) })

	<-ctx.Done()
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.each(func(c *Conn) { c.cut(ReasonShutdown) })
	e.open.Wait()
	close(stop)
	for _, p := range e.pollers {
		p.stop()
	}
	wg.Wait()
	close(e.work) // parked workers end; nothing dispatches any more
	e.workers.Wait()
	return nil
}

// Connections is the number of connections that the engine runs.
func (e *Engine) Connections() int {
	n := 0
	e.each(func(*Conn) { n++ })
	return n
}

// each calls f for every connection. It may miss connections that come or go during the call.
func (e *Engine) each(f func(*Conn)) {
	for _, p := range e.pollers {
		p.each(f)
	}
	e.mu.Lock()
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// IsFull reports whether a connection would get one of the descriptors that are kept for
// others, as far as is known.
func (e *Engine) IsFull() bool { return e.spare.IsFull(e.clock()) }

// IsExhausted reports whether not even connections that are only told so should be accepted.
func (e *Engine) IsExhausted() bool { return e.spare.IsExhausted(e.clock()) }

// clock is the time since the engine was made, within a tick.
func (e *Engine) clock() time.Duration { return time.Duration(e.now.Load()) * tick }

// admit counts a connection in, unless the engine has stopped. finish counts it out.
func (e *Engine) admit() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.open.Add(1)
	e.metrics.connections.Inc()
	return true
}

func (e *Engine) hasStopped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}

// present is the tick that it is now. The clock that is read for each message may be behind it,
// while the wheels turn or the machine has other things to do.
func (e *Engine) present() uint32 { return uint32(time.Since(e.started)/tick) + 1 }

// turnWheels advances the clock and the wheels until stop is closed.
func (e *Engine) turnWheels(stop <-chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	var due []*Conn
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		now := e.present()
		e.now.Store(now)
		for _, w := range e.wheels {
			due = w.Advance(now, due[:0])
			for i, c := range due {
				c.post(eventTimer)
				due[i] = nil
				e.giveWay()
			}
		}
		for _, r := range e.reapers {
			r.relieve(now)
		}
		e.traces.tick()
		due = e.checkStalls(now, due)
	}
}

// dispatch gives c, whose turn has just been taken, to a worker, or to a reaper.
func (e *Engine) dispatch(c *Conn) {
	if c.isEnding() {
		c.reaper().put(c)
		return
	}
	select {
	case e.work <- c:
	default:
		e.workers.Add(1)
		e.unbegun.Add(1)
		go e.worker(c) // ends when enough workers are parked, or with e.work
	}
}

// giveWay lets workers begin while there are many that have not. Pollers and reapers, whose events
// come in crowds, call it with no lock held. A worker that blocks has begun.
func (e *Engine) giveWay() {
	for e.unbegun.Load() > maxUnbegun {
		runtime.Gosched()
	}
}

// lend gives c, whose turn is taken, a goroutine for the whole of it, even if it blocks at its end.
func (e *Engine) lend(c *Conn) {
	e.workers.Go(func() { // ends with the turn
		buf := bufpool.Get(readBuffer)
		defer buf.Release()
		c.turn(buf.B[:cap(buf.B)])
	})
}

// worker does turns until there are enough parked workers without it.
func (e *Engine) worker(c *Conn) {
	defer e.workers.Done()
	e.unbegun.Add(-1)
	limit := int32(maxParkedWorkers * runtime.GOMAXPROCS(0))
	for ok := true; ok; {
		buf := bufpool.Get(readBuffer)
		c.work(buf.B[:cap(buf.B)])
		buf.Release()
		if e.parked.Add(1) > limit {
			e.parked.Add(-1)
			return
		}
		c, ok = <-e.work
		e.parked.Add(-1)
	}
}
