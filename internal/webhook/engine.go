package webhook

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/commit"
)

// Options of an Engine. Apps is required; other zero fields mean the default.
type Options struct {
	Apps      Apps
	Store     Store             // may be nil: memory only, and nothing survives
	Transport http.RoundTripper // default one of its own, which uses the proxies of the environment

	Grace      time.Duration // of channels and members; default 3 s
	UserGrace  time.Duration // of users; default 3 s
	StartGrace time.Duration // for what a former process has announced to come back; default 30 s

	Retry          app.WebhookRetry
	Batching       app.WebhookBatching
	RequestTimeout time.Duration // default 10 s
	MaxRequests    int           // under way; default 20. One for each endpoint anyway

	// VacateAtShutdown ends all graces at the end, so that receivers are told before it that everybody
	// is gone. Without it a Store keeps who is there for the next process, which tells after
	// StartGrace of those who have not come back. Without a Store it is always so.
	VacateAtShutdown bool

	MaxIntake       int           // bytes of events that wait to be stored; default 16 MiB
	MaxSubjects     int           // channels, members and users that are told of; default 1,048,576
	MaxPending      int           // bytes of events that wait for one endpoint; default 16 MiB
	MaxPendingTotal int           // bytes of events that wait for all endpoints; default 256 MiB
	MaxDead         int           // dead letters of an app; default 1000
	MaxDeadBytes    int           // of their events; default 64 MiB
	DeadTTL         time.Duration // default 7 days

	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	o.Grace = cmp.Or(o.Grace, 3*time.Second)
	o.UserGrace = cmp.Or(o.UserGrace, 3*time.Second)
	o.StartGrace = cmp.Or(o.StartGrace, 30*time.Second)
	o.Retry.MaxElapsed = cmp.Or(o.Retry.MaxElapsed, 300*time.Second)
	o.Retry.InitialBackoff = cmp.Or(o.Retry.InitialBackoff, time.Second)
	o.Retry.MaxBackoff = cmp.Or(o.Retry.MaxBackoff, 60*time.Second)
	o.Batching.Duration = cmp.Or(o.Batching.Duration, 50*time.Millisecond)
	o.Batching.Size = min(cmp.Or(o.Batching.Size, 100), maxBatchSize)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.MaxRequests = cmp.Or(o.MaxRequests, 20)
	o.MaxIntake = cmp.Or(o.MaxIntake, 16<<20)
	o.MaxSubjects = cmp.Or(o.MaxSubjects, 1<<20)
	o.MaxPending = cmp.Or(o.MaxPending, 16<<20)
	o.MaxPendingTotal = cmp.Or(o.MaxPendingTotal, 256<<20)
	o.MaxDead = cmp.Or(o.MaxDead, 1000)
	o.MaxDeadBytes = cmp.Or(o.MaxDeadBytes, 64<<20)
	o.DeadTTL = cmp.Or(o.DeadTTL, 7*24*time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Engine makes webhooks of what it is told. All methods are safe for concurrent use, except
// that Load comes before Run, and both are called once. A nil *Engine takes everything it is
// told and does nothing.
type Engine struct {
	o       Options // immutable
	client  *http.Client
	store   Store
	permits permits
	intake  intake
	outbox  outbox
	online  online
	writer  writer
	pending atomic.Int64 // bytes in all queues

	lastNumber atomic.Uint64 // of a batch; Load's, then the writer's to change

	workers    sync.WaitGroup
	running    atomic.Int64 // workers
	isStarted  atomic.Bool
	isFailing  atomic.Bool // the last commit could not be stored
	isDraining atomic.Bool // no batch waits to be filled, and the worker of an endpoint that fails goes
	isHalted   atomic.Bool // what can be sent is not waited for any more
	ended      chan struct{}
	result     error // of Run; readable after ended

	hasRoutes atomic.Bool
	mu        sync.RWMutex
	routes    map[string]*routes // by app; guarded by mu

	configure sync.Mutex          // held over a change of endpoints
	orphans   map[string][]orphan // by app; guarded by configure
}

// New makes an engine without endpoints.
func New(o Options) *Engine {
	o = o.withDefaults()
	e := &Engine{
		o:       o,
		client:  newClient(&o),
		store:   o.Store,
		permits: newPermits(o.MaxRequests),
		online:  online{apps: map[string]*onlineApp{}},
		ended:   make(chan struct{}),
		routes:  map[string]*routes{},
		orphans: map[string][]orphan{},
	}
	if e.store == nil {
		e.store = &memory{}
	}
	e.intake = intake{
		o: &e.o, start: o.Now(), apps: map[string]*tracked{},
		queue: commit.New[event](commit.Options{Max: commit.Size{Bytes: o.MaxIntake}}),
	}
	e.outbox.poke, e.outbox.now = e.intake.poke, e.o.Now
	e.lastNumber.Store(uint64(o.Now().UnixMilli())) // beyond those of former processes, most likely; Load knows
	e.writer = writer{
		Engine: e,
		graves: graveyard{o: &e.o, byApp: map[string]*graves{}, swept: o.Now()},
		told:   map[Subject]bool{}, sequences: map[string]uint64{},
	}
	return e
}

func (e *Engine) isDurable() bool { return e.o.Store != nil }

// isFinal reports whether nobody is there any more once the engine ends.
func (e *Engine) isFinal() bool { return e.o.VacateAtShutdown || !e.isDurable() }

func (e *Engine) poke() { e.intake.poke() }

// IsStoring reports whether events can be stored, as the last attempt has shown. While they
// cannot, none are sent, and those that wait need memory.
func (e *Engine) IsStoring() bool { return e == nil || !e.isFailing.Load() }

// Run stores and delivers until ctx ends or Shutdown has done its part. Then it stores what is
// left; an error says that it could not.
func (e *Engine) Run(ctx context.Context) error {
	e.isStarted.Store(true)
	defer close(e.ended)
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	err := e.intake.queue.Serve(sending, &e.writer)
	e.intake.close(e.isFinal())
	cancel()
	e.workers.Wait()
	e.isDraining.Store(true)
	e.result = e.writer.finish(context.WithoutCancel(ctx), err)
	if left := e.left(); left > 0 && !e.isDurable() {
		e.result = errors.Join(e.result, errLost(left))
	}
	if e.o.Transport == nil {
		e.client.CloseIdleConnections()
	}
	return e.result
}

// Shutdown takes no more events, sends what can be sent at once until ctx ends, stores the
// rest and ends Run. Graces that are not over are stored too: the next process knows what was
// announced. With Options.VacateAtShutdown, and without a Store, they end at once.
func (e *Engine) Shutdown(ctx context.Context) error {
	if e == nil || !e.isStarted.Load() {
		return nil
	}
	e.intake.close(e.isFinal())
	e.isDraining.Store(true)
	e.each(func(q *queue) { q.rouse() })
	e.poke()
	select {
	case <-e.ended:
	case <-ctx.Done():
		e.isHalted.Store(true)
		e.poke()
		<-e.ended
	}
	return e.result
}

// Hold says that the end is near: where the next process is to tell who has gone, no grace ends
// any more until then, however long it takes to close all connections.
func (e *Engine) Hold() {
	if !e.isFinal() {
		e.intake.hold()
	}
}

// each calls fn with all queues.
func (e *Engine) each(fn func(*queue)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.routes {
		for i := range r.targets {
			for _, q := range r.targets[i].lanes {
				fn(q)
			}
		}
	}
}

// left is how many events wait for all endpoints.
func (e *Engine) left() (events int) {
	e.each(func(q *queue) { events += q.status().Events })
	return events
}

func (e *Engine) enter(s Subject) {
	if r := e.routesOf(s.App); r != nil && r.kinds.wants(s.Kind) && !isUserChannel(s.Channel) && r.tracks(&s) {
		e.intake.enter(s)
	}
}

func (e *Engine) leave(s Subject) {
	if r := e.routesOf(s.App); r == nil || !r.kinds.wants(s.Kind) {
		return
	}
	grace := e.o.Grace
	if s.Kind == SubjectUser {
		grace = e.o.UserGrace
	}
	e.intake.leave(s, grace)
}

func (e *Engine) tell(ev event) {
	if e.Wants(ev.app, ev.kind) && !isUserChannel(ev.channel) {
		e.intake.tell(ev)
	}
}
