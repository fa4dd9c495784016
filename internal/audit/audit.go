// Package audit writes security events (views 7.2): one JSON object a line.
//
// It must never see a token or a secret: callers hand in ids, codes and reasons. It decides the
// severity, and when failed attempts of one address are a suspicious pattern.
//
// Taking an event never blocks: it is encoded into a bounded queue. The goroutine that calls
// Run writes, in the order in which the events came. What does not fit, or cannot be written,
// is dropped and counted.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

const (
	defaultMaxPending = 8 << 20  // bytes, about twenty thousand events
	maxSpare          = 64 << 10 // bytes kept for the next lines; more is left of a flood
)

// Options of a log. Writer or Path is required; other zero fields mean the default.
type Options struct {
	Path       string           // of a file to append to, made with permissions 0600
	Writer     io.Writer        // instead of a file
	MaxPending int              // bytes of events in memory; default 8 MiB
	Now        func() time.Time // default time.Now
	Log        *slog.Logger     // of failures to write; default none
	Metrics    *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.MaxPending <= 0 {
		o.MaxPending = defaultMaxPending
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

// Source is where an event came from; empty members are omitted.
type Source struct{ ClientIP, Origin, UserAgent, Path, DeploymentID, Subject, MeteringKey string }

// Log takes events. A nil *Log takes nothing. Safe for concurrent use; never blocks.
type Log struct {
	o      Options
	writer io.Writer
	file   *os.File // nil: the writer is the caller's
	wake   chan struct{}

	failures *limit.Windows[netip.Addr] // failed attempts by address

	mu       sync.Mutex
	lines    []byte // encoded events that wait
	events   int    // in lines
	isClosed bool   // Run has ended, which writes the events
}

// New makes a log and opens its file.
func New(o Options) (*Log, error) {
	o = o.withDefaults()
	l := &Log{o: o, writer: o.Writer, wake: make(chan struct{}, 1), failures: limit.NewWindows[netip.Addr](maxAddresses)}
	if l.writer == nil {
		var err error
		if l.file, err = os.OpenFile(o.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		l.writer = l.file
	}
	return l, nil
}

// Run writes until ctx ends, then what waits, and closes the file. Events that come later are
// dropped.
func (l *Log) Run(ctx context.Context) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	var w writing
	for {
		select {
		case <-l.wake:
			l.write(&w, false)
		case <-ctx.Done():
			l.write(&w, true)
			return l.close()
		}
	}
}

// writing is what Run knows.
type writing struct {
	spare  []byte // for the next lines
	failed bool   // the last write has
}

// write writes everything that waits in one call.
func (l *Log) write(w *writing, isLast bool) {
	l.mu.Lock()
	lines, events := l.lines, l.events
	l.lines, l.events, l.isClosed = w.spare[:0], 0, isLast
	l.mu.Unlock()
	if w.spare = lines; cap(w.spare) > maxSpare {
		w.spare = nil
	}
	if len(lines) == 0 {
		return
	}
	_, err := l.writer.Write(lines)
	if err != nil {
		l.o.Metrics.dropped.WithLabelValues(string(dropWriteFailed)).Add(float64(events))
		if !w.failed {
			l.o.Log.Error("security events cannot be written", "events", events, "err", err)
		}
	} else if w.failed {
		l.o.Log.Info("security events are written again")
	}
	w.failed = err != nil
}

func (l *Log) close() error {
	if l.file == nil {
		return nil
	}
	if err := errors.Join(l.file.Sync(), l.file.Close()); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// add queues one event.
func (l *Log) add(severity severity, s *Source, kind string, members func(object) object) {
	now := l.o.Now()
	l.mu.Lock()
	var reason dropReason
	switch {
	case l.isClosed:
		reason = dropShutdown
	case len(l.lines) >= l.o.MaxPending:
		reason = dropQueueFull
	default:
		l.lines = appendEvent(l.lines, now, severity, s, kind, members)
		l.events++
	}
	l.mu.Unlock()

	if reason != "" {
		l.o.Metrics.dropped.WithLabelValues(string(reason)).Inc()
		return
	}
	l.o.Metrics.events.WithLabelValues(kind).Inc()
	select {
	case l.wake <- struct{}{}:
	default: // Run knows
	}
}
