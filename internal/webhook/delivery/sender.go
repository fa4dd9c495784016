package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/webhook"
)

// Apps finds the key and the secret of an app, which a sender asks for with each request. It may
// wait.
type Apps interface {
	// ByID returns app.ErrNotFound when there is none.
	ByID(ctx context.Context, id string) (*app.App, error)
}

// Outcomes are told what became of batches. Workers call it, also under the locks of their queues:
// it must not wait, and not call a queue.
type Outcomes interface {
	// Done says that an endpoint has taken the batch with this number.
	Done(number uint64)
	// Dead says that batches were given up.
	Dead(letters ...webhook.Letter)
	// Idle says that a worker has ended.
	Idle()
}

// Options of a Sender. Zero fields mean the default.
type Options struct {
	Transport   http.RoundTripper // default one of its own, which uses the proxies of the environment
	MaxRequests int               // under way; default 20. One for each endpoint anyway
	// IsDurable says that the next process goes on with what waits: once the sender drains, it does
	// not wait for endpoints that fail.
	IsDurable bool

	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	o.MaxRequests = cmp.Or(o.MaxRequests, 20)
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

// Sender is what all queues share: the HTTP client, the permits for requests, and the numbers of
// batches. Its methods are safe for concurrent use.
type Sender struct {
	o       Options // immutable
	apps    Apps
	to      Outcomes
	client  *http.Client
	permits permits

	pending    atomic.Int64  // bytes in all queues
	lastNumber atomic.Uint64 // of a batch
	workers    sync.WaitGroup
	running    atomic.Int64 // workers
	isDraining atomic.Bool  // no batch waits to be filled, and the worker of an endpoint that fails ends
}

// New makes a sender that tells to what became of batches.
func New(apps Apps, to Outcomes, o Options) *Sender {
	o = o.withDefaults()
	s := &Sender{o: o, apps: apps, to: to, client: newClient(o.Transport), permits: newPermits(o.MaxRequests)}
	s.lastNumber.Store(uint64(o.Now().UnixMilli())) // beyond the numbers of former processes, most likely; GoOn knows
	return s
}

// NextNumber makes the number of a new batch: the later, the greater.
func (s *Sender) NextNumber() uint64 { return s.lastNumber.Add(1) }

// LastNumber is the number of the newest batch.
func (s *Sender) LastNumber() uint64 { return s.lastNumber.Load() }

// GoOn has the numbers begin after a number of a former process. It comes before everything else.
func (s *Sender) GoOn(after uint64) { s.lastNumber.Store(max(s.lastNumber.Load(), after)) }

// Pending is how many bytes of events wait in all queues.
func (s *Sender) Pending() int64 { return s.pending.Load() }

// Drain has queues send what they have at once: no batch waits to be filled any more. The caller
// rouses the queues.
func (s *Sender) Drain() { s.isDraining.Store(true) }

// IsDraining reports whether Drain was called.
func (s *Sender) IsDraining() bool { return s.isDraining.Load() }

// IsIdle reports whether there is no worker. A worker tells its outcomes before it ends.
func (s *Sender) IsIdle() bool { return s.running.Load() == 0 }

// Wait returns when all workers have ended, which the context of Queue.Start has them do.
func (s *Sender) Wait() {
	s.workers.Wait()
	if s.o.Transport == nil {
		s.client.CloseIdleConnections()
	}
}
