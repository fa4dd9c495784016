package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
	"github.com/millrace/millrace/internal/webhook/presence"
)

// Outbox makes webhooks of what it is told. All methods are safe for concurrent use, except
// that Load comes before Run, and both are called once. A nil *Outbox takes everything it is
// told and does nothing.
type Outbox struct {
	o       Options // immutable
	store   webhook.Store
	events  *commit.Queue[webhook.Event] // that wait for the writer
	tracker *presence.Tracker
	sender  *delivery.Sender
	inbox   inbox
	online  online
	writer  writer

	isStarted atomic.Bool
	isFailing atomic.Bool // the last commit could not be stored
	isHalted  atomic.Bool // what can be sent is not waited for any more
	ended     chan struct{}
	result    error // of Run; readable after ended

	hasRoutes atomic.Bool
	mu        sync.RWMutex
	routes    map[string]*routes // by app; guarded by mu

	configure sync.Mutex          // held over a change of endpoints
	orphans   map[string][]orphan // by app; guarded by configure
}

// New makes an engine without endpoints.
func New(o Options) *Outbox {
	o = o.withDefaults()
	e := &Outbox{
		o:       o,
		store:   o.Store,
		events:  commit.New[webhook.Event](commit.Options{Max: commit.Size{Bytes: o.MaxIntake}}),
		online:  online{apps: map[string]*onlineApp{}},
		ended:   make(chan struct{}),
		routes:  map[string]*routes{},
		orphans: map[string][]orphan{},
	}
	if e.store == nil {
		e.store = &memory{}
	}
	e.tracker = presence.New(e.events, presence.Options{
		MaxSubjects: o.MaxSubjects, IsNew: !e.isDurable(), Now: o.Now,
		Dropped: func(k webhook.Kind) { o.Metrics.dropped.WithLabelValues(k.String()).Inc() },
	})
	e.inbox.wake, e.inbox.now = e.events.Wake, o.Now
	e.sender = delivery.New(o.Apps, &e.inbox, delivery.Options{
		Transport: o.Transport, MaxRequests: o.MaxRequests, IsDurable: e.isDurable(),
		Now: o.Now, Log: o.Log, Metrics: o.Metrics.delivery,
	})
	e.writer = writer{
		Outbox:  e,
		letters: index{o: &e.o, byApp: map[string]*letters{}, swept: o.Now()},
		told:    map[webhook.Subject]bool{}, sequences: map[string]uint64{},
	}
	e.writer.recovery.w = &e.writer
	return e
}

func (e *Outbox) isDurable() bool { return e.o.Store != nil }

// isFinal reports whether all subjects are gone once the engine ends.
func (e *Outbox) isFinal() bool { return e.o.VacateAtShutdown || !e.isDurable() }

// IsStoring reports whether events can be stored, as the last attempt has shown. While they
// cannot, none are sent, and those that wait need memory.
func (e *Outbox) IsStoring() bool { return e == nil || !e.isFailing.Load() }

// Run stores and delivers until ctx ends or Shutdown has done its part. Then it stores what is
// left; an error says that it could not.
func (e *Outbox) Run(ctx context.Context) error {
	e.isStarted.Store(true)
	defer close(e.ended)
	e.tracker.Begin(e.o.StartGrace)
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	err := e.events.Serve(sending, &e.writer)
	e.tracker.Close(e.isFinal())
	cancel()
	e.sender.Wait()
	e.sender.Drain()
	e.result = e.writer.finish(context.WithoutCancel(ctx), err)
	if left := e.left(); left > 0 && !e.isDurable() {
		e.result = errors.Join(e.result, fmt.Errorf("webhook: %d events were not delivered and are not stored", left))
	}
	return e.result
}

// Shutdown takes no more events, sends what can be sent at once until ctx ends, stores the
// rest and ends Run. Graces that are not over are stored too: the next process knows what was
// announced. With Options.VacateAtShutdown, and without a Store, they end at once.
func (e *Outbox) Shutdown(ctx context.Context) error {
	if e == nil || !e.isStarted.Load() {
		return nil
	}
	e.tracker.Close(e.isFinal())
	e.sender.Drain()
	e.each(func(q *delivery.Queue) { q.Rouse() })
	e.events.Wake()
	select {
	case <-e.ended:
	case <-ctx.Done():
		e.isHalted.Store(true)
		e.events.Wake()
		<-e.ended
	}
	return e.result
}

// Hold says that the end is near: where the next process is to tell which subjects have gone, no
// grace ends any more until then, however long it takes to close all connections.
func (e *Outbox) Hold() {
	if !e.isFinal() {
		e.tracker.Hold()
	}
}

// Status tells how the endpoints of an app do, in the order in which they were set.
func (e *Outbox) Status(app string) []webhook.Status {
	r := e.routesOf(app)
	if r == nil {
		return nil
	}
	all := make([]webhook.Status, len(r.targets))
	for i := range r.targets {
		all[i] = r.targets[i].lanes.Status()
	}
	return all
}

// each calls fn with all queues.
func (e *Outbox) each(fn func(*delivery.Queue)) {
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
func (e *Outbox) left() (events int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.routes {
		for i := range r.targets {
			events += r.targets[i].lanes.Status().Events
		}
	}
	return events
}
