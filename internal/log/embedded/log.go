package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/tail"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

var (
	_ log.Log     = (*Log)(nil)
	_ log.History = (*Log)(nil)
	_ log.Streams = (*Log)(nil)
	_ log.Told    = (*Log)(nil)
	_ log.Copier  = (*Log)(nil)
)

const (
	// groupBytes is how much is stored at once, if it is more than one group.
	groupBytes = 256 << 10
	// recordCost is what a record counts in Options.MaxWaiting beside its bytes.
	recordCost = 256
)

// Options of a log. Node is required; other zero fields mean the default.
type Options struct {
	Node      log.NodeID
	Retention func(t protocol.Topic) log.Retention // default: everything is kept
	MaxBytes  int64                                // of envelopes in the tables, all apps together; default half of the free disk, with what is kept

	MaxWaiting int           // bytes that wait to be stored; default 16 MiB
	FoldAt     int64         // bytes of the tail at which it is folded; default 32 MiB
	MaxTail    int64         // bytes of the tail at which Append refuses; default 128 MiB
	Keep       time.Duration // for which entries stay after they were folded; default 30 s
	KeepBytes  int64         // that they have at most then; default 64 MiB
	SweepEvery time.Duration // how often a short tail is folded too, and topics are looked at whose records are too old; default 1 min

	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Retention == nil {
		o.Retention = func(protocol.Topic) log.Retention { return log.Retention{} }
	}
	o.MaxWaiting = orDefault(o.MaxWaiting, 16<<20)
	o.FoldAt = orDefault(o.FoldAt, 32<<20)
	o.MaxTail = orDefault(o.MaxTail, 128<<20)
	o.Keep = orDefault(o.Keep, 30*time.Second)
	o.KeepBytes = orDefault(o.KeepBytes, 64<<20)
	o.SweepEvery = orDefault(o.SweepEvery, time.Minute)
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

func orDefault[T int | int64 | time.Duration](value, preset T) T {
	if value <= 0 {
		return preset
	}
	return value
}

// Log is the log of one node.
type Log struct {
	o          Options // immutable
	db         *sqlite.DB
	statements statements
	queue      *commit.Queue[*appending]
	pool       sync.Pool          // of *appending
	appender   appender           // owned by the goroutine that serves queue
	folder     folder             // owned by the folder
	maintainer *sqlite.Maintainer // runs the folder
	reads      chan struct{}      // a slot for each read that goes on: those that wait for one can give up
	maxBytes   int64              // see Options.MaxBytes; immutable after load
	unfolded   atomic.Int64       // bytes of the tail
	lag        atomic.Int64       // records of the tail

	mu            sync.Mutex
	tenure        *log.Tenure   // guarded by mu, as is all below
	tenureChanged chan struct{} // closed at the next change
	last          log.Index     // the last entry
	committed     chan struct{} // closed at the next entry; nil while no caller has it
	trimmed       log.Index     // entries up to it are gone
	folded        log.Index     // entries up to it are in the fold
	tail          tail.Tail
	failure       error // of the appender: nothing is appended any more

	stop    context.CancelFunc // of both goroutines
	running sync.WaitGroup
}

// Open makes the log of a database, which must stay open until Close. ctx bounds the opening only.
func Open(ctx context.Context, db *sqlite.DB, o Options) (*Log, error) {
	l := &Log{
		o: o.withDefaults(), db: db,
		tenureChanged: make(chan struct{}),
		maintainer:    sqlite.NewMaintainer(),
		reads:         make(chan struct{}, sqlite.Readers),
	}
	l.queue = commit.New[*appending](commit.Options{
		Max:        commit.Size{Bytes: l.o.MaxWaiting},
		Group:      commit.Size{Bytes: groupBytes},
		HoldsGroup: true,
		Waiting:    func(bytes int) { l.o.Metrics.waiting.Set(float64(bytes)) },
	})
	l.pool.New = func() any { return &appending{ticket: commit.NewTicket()} }
	l.appender.Log, l.folder = l, newFolder(l)
	if err := l.load(ctx); err != nil {
		return nil, fmt.Errorf("embedded log: open: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.running.Go(func() { l.append(running) })     // ends with stop
	l.running.Go(func() { l.folder.run(running) }) // ends with stop
	return l, nil
}

// append serves the queue until ctx ends.
func (l *Log) append(ctx context.Context) {
	err := l.queue.Serve(ctx, &l.appender)
	l.queue.Close()
	if err == nil {
		err = l.queue.Finish(context.WithoutCancel(ctx), &l.appender)
	}
	if err == nil {
		return
	}
	l.o.Log.Error("the log has failed; nothing is appended any more until the next start", "err", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
	l.tenure.End()
	close(l.tenureChanged)
	l.tenureChanged = make(chan struct{})
}

// Close stores what was accepted and ends. What is not in the fold is folded after the next Open.
func (l *Log) Close() error {
	l.stop()
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenure.End()
	if l.failure != nil {
		return fmt.Errorf("embedded log: %w", l.failure)
	}
	return nil
}

// Tenure implements log.Log.
func (l *Log) Tenure() (t *log.Tenure, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure.Valid() {
		t = l.tenure
	}
	return t, l.tenureChanged
}

// Owner implements log.Log.
func (l *Log) Owner() (node log.NodeID, term log.Term, isKnown bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tenure.Node, l.tenure.Term, true
}

// Committed implements log.Log.
func (l *Log) Committed() (last log.Index, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.committed == nil {
		l.committed = make(chan struct{})
	}
	return l.last, l.committed
}

// Lag is how many records are stored and not in the fold yet.
func (l *Log) Lag() int64 { return l.lag.Load() }

// HandOver implements log.Log. The only node is this one, which begins another term.
func (l *Log) HandOver(ctx context.Context, to log.NodeID) error {
	if to != l.o.Node {
		return fmt.Errorf("%w: %q; this log has %q alone", log.ErrNoNode, to, l.o.Node)
	}
	l.mu.Lock()
	l.tenure.End()
	l.mu.Unlock()
	// A change of the term waits behind all that was appended. If it cannot be stored, there is no
	// tenure until a HandOver succeeds.
	a := &appending{isTerm: true, ticket: commit.NewTicket()}
	return refusal(l.queue.Do(ctx, a, commit.Size{Bytes: 1}, a.ticket))
}

// refusal says in the words of package log why a group was not stored.
func refusal(err error) error {
	switch {
	case errors.Is(err, commit.ErrFull):
		return log.ErrFull
	case errors.Is(err, commit.ErrClosed):
		return log.ErrClosed
	case errors.Is(err, commit.ErrUncertain):
		return fmt.Errorf("%w: %w", log.ErrUncertain, err)
	}
	return err
}
