// Package meter counts what connections of live views use and hands it out as usage events
// (views 7.1): batched, tried again when they cannot be delivered, spooled to a folder when
// that lasts.
//
// It must never know what usage costs or who may connect. It does not aggregate: who counts
// live frames reports totals, about once a second for each connection and view.
//
// Taking an event never blocks: it is encoded into a bounded queue. The goroutine that calls
// Run delivers; batches leave in the order in which their events came, one at a time. Delivery
// is at least once: an event keeps its id however often it is sent. What does not fit is dropped
// and counted, the newest events first in memory, the oldest files first on the disk.
package meter

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Emitter delivers one batch: {"events":[envelope,...]} (views 7.1). Success means that
// the receiver has it for good. The batch must not be kept. It is called from one goroutine.
type Emitter interface {
	Emit(ctx context.Context, batch []byte) error
}

// Identity is the subject that usage is counted for; empty members are null on the wire.
type Identity struct{ ClientID, DeploymentID, MeteringKey, Subject string }

const (
	// maxBytes bounds the memory of the queue whatever the length of names.
	maxBytes = 16 << 20

	defaultBatchSize     = 50
	defaultMaxBatchSize  = 500
	defaultInterval      = 2 * time.Second
	defaultMaxPending    = 10_000
	defaultMaxSpoolFiles = 1000
	defaultMaxSpoolBytes = 64 << 20
)

// Options of a meter. Emitter is required; other zero fields mean the default.
type Options struct {
	Emitter       Emitter
	Interval      time.Duration    // between flushes of what waits; default 2 s
	BatchSize     int              // events that do not wait for the next flush; default 50
	MaxBatchSize  int              // events that go out at once; default 500
	MaxPending    int              // events in memory; default 10,000
	Spool         string           // folder for batches that cannot be delivered, made if missing; default none
	MaxSpoolFiles int              // default 1000
	MaxSpoolBytes int64            // default 64 MiB
	Now           func() time.Time // default time.Now
	Log           *slog.Logger     // default none
	Metrics       *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.BatchSize <= 0 {
		o.BatchSize = defaultBatchSize
	}
	if o.MaxBatchSize <= 0 {
		o.MaxBatchSize = defaultMaxBatchSize
	}
	if o.MaxPending <= 0 {
		o.MaxPending = defaultMaxPending
	}
	if o.MaxSpoolFiles <= 0 {
		o.MaxSpoolFiles = defaultMaxSpoolFiles
	}
	if o.MaxSpoolBytes <= 0 {
		o.MaxSpoolBytes = defaultMaxSpoolBytes
	}
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

// Meter takes usage. A nil *Meter takes nothing and costs nothing. Safe for concurrent use;
// never blocks.
type Meter struct {
	o     Options
	spool *spool        // nil: none
	wake  chan struct{} // Options.BatchSize events wait

	mu       sync.Mutex
	queue    []*batch // the last one may still grow
	pending  int      // events in queue
	bytes    int      // of queue
	isClosed bool     // Run has ended, which delivers the events
}

// New makes a meter and the spool folder.
func New(o Options) (*Meter, error) {
	o = o.withDefaults()
	m := &Meter{o: o, wake: make(chan struct{}, 1)}
	if o.Spool != "" {
		var err error
		if m.spool, err = openSpool(o); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// IsOn reports whether usage is taken at all.
func (m *Meter) IsOn() bool { return m != nil }

// ConnectionEstablished counts a handshake that succeeded. remoteAddr is "ip:port".
func (m *Meter) ConnectionEstablished(id Identity, remoteAddr, keyClass string) {
	if m == nil {
		return
	}
	m.add(eventEstablished, func(e encoder) encoder {
		return e.identity(id).text("remote_addr", remoteAddr).optional("key_class", keyClass)
	})
}

// ConnectionClosed counts the end of a connection; subscriptions were active at the close.
func (m *Meter) ConnectionClosed(id Identity, d time.Duration, subscriptions int) {
	if m == nil {
		return
	}
	m.add(eventClosed, func(e encoder) encoder {
		return e.identity(id).seconds("duration_secs", d).number("subscription_count", subscriptions)
	})
}

// SubscriptionCreated counts a subscription that was attached.
func (m *Meter) SubscriptionCreated(id Identity, view string) {
	if m == nil {
		return
	}
	m.add(eventCreated, func(e encoder) encoder { return e.identity(id).text("view_id", view) })
}

// SubscriptionRemoved counts the end of a subscription. At a disconnect it is called for every active
// subscription, before ConnectionClosed.
func (m *Meter) SubscriptionRemoved(id Identity, view string) {
	if m == nil {
		return
	}
	m.add(eventRemoved, func(e encoder) encoder { return e.identity(id).text("view_id", view) })
}

// SnapshotSent counts one snapshot batch; bytes are those on the wire.
func (m *Meter) SnapshotSent(id Identity, view string, rows, bytes int) {
	if m == nil {
		return
	}
	m.add(eventSnapshot, func(e encoder) encoder {
		return e.identity(id).text("view_id", view).number("rows", rows).number("messages", 1).number("bytes", bytes)
	})
}

// UpdateSent counts live frames and subscribed frames, as many as messages says.
func (m *Meter) UpdateSent(id Identity, view string, messages, bytes int) {
	if m == nil {
		return
	}
	m.add(eventUpdate, func(e encoder) encoder {
		return e.identity(id).text("view_id", view).number("messages", messages).number("bytes", bytes)
	})
}

// add queues one event, whose members encode appends.
func (m *Meter) add(kind string, members func(encoder) encoder) {
	id, now := uuid.New(), m.o.Now()
	m.mu.Lock()
	reason := m.roomLocked()
	if reason == "" {
		b := m.openLocked()
		before := len(b.body)
		b.append(id, now, kind, members)
		m.pending++
		m.bytes += len(b.body) - before
	}
	isDue := m.pending >= m.o.BatchSize
	m.mu.Unlock()

	if reason != "" {
		m.o.Metrics.dropped.WithLabelValues(string(reason)).Inc()
		return
	}
	m.o.Metrics.events.WithLabelValues(kind).Inc()
	if isDue {
		select {
		case m.wake <- struct{}{}:
		default: // Run knows
		}
	}
}

// roomLocked is why an event cannot be taken, "" if it can.
func (m *Meter) roomLocked() dropReason {
	switch {
	case m.isClosed:
		return dropShutdown
	case m.pending >= m.o.MaxPending || m.bytes >= maxBytes:
		return dropQueueFull
	default:
		return ""
	}
}

// openLocked is the batch that takes the next event.
func (m *Meter) openLocked() *batch {
	if n := len(m.queue); n > 0 && m.queue[n-1].events < m.o.MaxBatchSize {
		return m.queue[n-1]
	}
	b := new(batch)
	m.queue = append(m.queue, b)
	return b
}

// take removes the oldest batch if at least so many events wait.
func (m *Meter) take(atLeast int) *batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending < max(atLeast, 1) {
		return nil
	}
	return m.takeLocked()
}

// takeFull removes the oldest batch if it cannot grow any more.
func (m *Meter) takeFull() *batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 || m.queue[0].events < m.o.MaxBatchSize {
		return nil
	}
	return m.takeLocked()
}

func (m *Meter) takeLocked() *batch {
	b := m.queue[0]
	m.queue[0] = nil
	m.queue = m.queue[1:]
	m.pending -= b.events
	m.bytes -= len(b.body)
	return b
}

// end takes everything that is left, and nothing from then on.
func (m *Meter) end() []*batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.queue
	m.queue, m.pending, m.bytes, m.isClosed = nil, 0, 0, true
	return rest
}
