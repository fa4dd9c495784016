package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/locks"
)

// What Acquire answers when there is no room.
var (
	ErrNodeFull     = errors.New("session: the node is at its connection limit")
	ErrAppOverQuota = errors.New("session: the app is over its connection quota")
)

// NoDescriptors is what clients are told, and the log says, when the process has no more
// descriptors than it keeps for other things than connections.
const NoDescriptors = "The server has no descriptor for the connection; try again later, or raise its limit of open files"

// Options of New. A field is required unless its comment names a default.
type Options struct {
	MaxConnections int              // of this node; default unlimited
	Now            func() time.Time // default time.Now
	Log            *slog.Logger     // default none
	Metrics        *Metrics         // default unregistered
	Cleanup        Cleanup          // zero fields mean its defaults
	Hub            *hub.Hub         // default none: no connection is found by its id or its channel
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Table knows all connections of a node that are open, and how many there may be. Safe
// for concurrent use.
//
// Invariant: a connection counts against its app's quota and the node's ceiling from before
// it is accepted until its socket is dead, and never otherwise. It is listed until all
// effects of its leaving have happened.
type Table struct {
	o     Options
	ctx   context.Context // ends when sessions must stop waiting for anything
	stop  context.CancelFunc
	start time.Time // origin of the clock

	node   limit.Quota
	sample limit.Sampler

	cleanup  cleanup
	restarts restarts

	mu     locks.Mutex
	quotas map[string]*limit.Quota // by app id; guarded by mu
	first  *Link                   // of the list of open sessions; guarded by mu
	size   int                     // of that list; guarded by mu
}

// Session is an open connection as the Table knows it.
type Session interface {
	// Restart tells the client to reconnect elsewhere, and closes. It may be called from any
	// goroutine and more than once, and does not block.
	Restart()
}

// Link is a session's place among the open ones; embedded by value in it, and zero while
// it is not listed.
type Link struct { // guarded by Table.mu
	session    Session // nil: the place of a Walk
	prev, next *Link
}

// New makes the registry of one node.
func New(o Options) *Table {
	o = o.withDefaults()
	r := &Table{o: o, start: o.Now(), quotas: make(map[string]*limit.Quota)}
	r.cleanup.init(r, o.Cleanup)
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Context ends when Drain returns: then no session should wait for anything.
func (r *Table) Context() context.Context { return r.ctx }

// Acquire counts a connection of a against the node's ceiling and the app's quota, or
// counts nothing and returns ErrNodeFull or ErrAppOverQuota. Every success is paid back by
// one Release.
func (r *Table) Acquire(a *app.App) error {
	if !r.node.Acquire(r.o.MaxConnections) {
		return ErrNodeFull
	}
	if !r.quotaOf(a.ID).Acquire(a.Limits.MaxConnections) {
		r.node.Release()
		return ErrAppOverQuota
	}
	return nil
}

// Release gives back what Acquire took for the same app.
func (r *Table) Release(a *app.App) {
	r.quotaOf(a.ID).Release()
	r.node.Release()
}

// quotaOf finds or makes the counter of an app.
func (r *Table) quotaOf(id string) *limit.Quota {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.quotas[id]
	if q == nil {
		q = new(limit.Quota)
		r.quotas[id] = q
	}
	return q
}

// Len is the number of connections whose effects have not all ended.
func (r *Table) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size
}

// All is every open session at this moment.
func (r *Table) All() []Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Session, 0, r.size)
	for l := r.first; l != nil; l = l.next {
		if l.session != nil {
			all = append(all, l.session)
		}
	}
	return all
}

func (r *Table) add(l *Link, s Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.session = s
	r.linkLocked(l, nil)
	r.size++
}

func (r *Table) remove(l *Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unlinkLocked(l)
	l.session = nil
	r.size--
}

// Now is the present time.
func (r *Table) Now() time.Time { return r.o.Now() }

// Clock is the time as sessions store it: milliseconds, of which only differences up to 49
// days mean something. It is never zero, which is free to mean that there is none.
func (r *Table) Clock() uint32 { return max(uint32(r.o.Now().Sub(r.start).Milliseconds()), 1) }

// Since is the time from a value of Clock to now.
func (r *Table) Since(at uint32) time.Duration {
	return time.Duration(r.Clock()-at) * time.Millisecond
}
