package session

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/locks"
)

const (
	// restartsPerSecond is how fast connections are told to come back, which they do at once:
	// to this node, or to others that were not asked before.
	restartsPerSecond = 2000
	restartPause      = 20 * time.Millisecond
	restartBatch      = restartsPerSecond * int(restartPause) / int(time.Second)

	// Those that are closed for good only leave the processors to others in between.
	closeBatch = 16
	closePause = 200 * time.Microsecond
)

// Select is every open session of a kind that matches.
func Select[S Session](r *Table, matches func(S) bool) []S {
	var found []S
	for other := range r.Walk() {
		if s, ok := other.(S); ok && matches(s) {
			found = append(found, s)
		}
	}
	return found
}

// CloseAll calls end, which closes a session for good, for each of all and returns. It pauses
// between them, so that other sessions are served however many there are.
func CloseAll[S Session](r *Table, all []S, end func(S)) {
	pace(r.ctx, slices.Chunk(all, closeBatch), closePause, end)
}

// RestartAll calls tell, which lets a client come back, for each of all. It returns at once: of
// thousands not all may come back at the same moment. Who waits to be told already does not wait
// a second time.
func RestartAll[S Session](r *Table, all []S, tell func(S)) {
	r.restarts.mu.Lock()
	defer r.restarts.mu.Unlock()
	if r.restarts.isOver || len(all) == 0 {
		return
	}
	if r.restarts.waiting == nil {
		r.restarts.waiting = make(map[Session]func(), len(all))
	}
	for _, s := range all {
		r.restarts.waiting[s] = func() { tell(s) }
	}
	if !r.restarts.isRunning {
		r.restarts.isRunning = true
		r.restarts.running.Go(func() { r.restarts.run(r.ctx, r.flush) }) // ends when no session waits, or with ctx
	}
}

// flushTimeout is how long a restart of sessions waits for fan-out that is behind.
const flushTimeout = 5 * time.Second

// flush returns when what was published has been handed to the connections, so that whatever a
// client is told next comes after it.
func (r *Table) flush(ctx context.Context) {
	if r.o.Hub == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := r.o.Hub.Flush(ctx); err != nil && r.ctx.Err() == nil {
		r.o.Log.Warn("connections are told to come back although events still wait for them", "err", err)
	}
}

// restarts are the sessions that RestartAll has still to tell: each once, so that the open
// connections bound their number.
type restarts struct {
	running sync.WaitGroup // Go under mu, unless isOver

	mu        locks.Mutex
	waiting   map[Session]func() // guarded by mu, as all below
	isRunning bool
	isOver    bool // the Table drains, and tells every session itself
}

func (q *restarts) run(ctx context.Context, flush func(context.Context)) {
	pace(ctx, q.batches(ctx, flush), restartPause, func(tell func()) { tell() })
}

// batches yields all that waits, in no particular order, until there is nothing: each batch after
// what was published before has been handed to its connections.
func (q *restarts) batches(ctx context.Context, flush func(context.Context)) iter.Seq[[]func()] {
	return func(yield func([]func()) bool) {
		for some := q.take(); len(some) > 0; some = q.take() {
			flush(ctx)
			if !yield(some) {
				return
			}
		}
	}
}

// take is the next batch; an empty one ends the run.
func (q *restarts) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	some := make([]func(), 0, restartBatch)
	for s, tell := range q.waiting {
		if len(some) == restartBatch {
			break
		}
		some = append(some, tell)
		delete(q.waiting, s)
	}
	if len(some) == 0 {
		q.waiting, q.isRunning = nil, false
	}
	return some
}

// end makes RestartAll do nothing from now on.
func (q *restarts) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.isOver, q.waiting = true, nil
}

// Drain tells every connection to reconnect elsewhere (pusher 7.9) and returns
// when all effects of their leaving have happened, or when ctx ends. They are told one after
// the other in random order, as RestartAll does, but faster if that would take longer than
// longest. New connections must be refused before it is called.
func (r *Table) Drain(ctx context.Context, longest time.Duration) {
	r.restarts.end()
	defer r.restarts.running.Wait()
	defer r.stop()

	all := r.All()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	batch := max(restartBatch, len(all)/max(int(longest/restartPause), 1)+1)
	pace(ctx, slices.Chunk(all, batch), restartPause, Session.Restart)

	// Those admitted while the draining began are closed as they show up.
	tick := time.NewTicker(restartPause)
	defer tick.Stop()
	for {
		left := r.All()
		if len(left) == 0 {
			return
		}
		for _, s := range left {
			s.Restart()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pace calls tell for each of batches, with a pause between two of them, until ctx ends.
func pace[T any](ctx context.Context, batches iter.Seq[[]T], pause time.Duration, tell func(T)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	isFirst := true
	for some := range batches {
		if !isFirst {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		isFirst = false
		for _, s := range some {
			tell(s)
		}
	}
}
