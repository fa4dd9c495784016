package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"time"
)

// sliceLength is how long a commit may have to wait for a slice of maintenance, while no more is left than
// is calm.
const sliceLength = 4 * time.Millisecond

// ErrEnded: the maintainer has ended, and does nothing more.
var ErrEnded = errors.New("the maintenance of the store has ended")

// Maintainer is the way to a goroutine that maintains tables beside commits, one step after the other.
// Its methods are safe for concurrent use, except that Run is called once.
type Maintainer struct {
	wake   chan struct{} // one slot: there is something to do
	orders chan order
	ended  chan struct{} // closed at the end of Run
}

// order is what a caller of Do wants.
type order struct {
	do     func(ctx context.Context) error
	answer chan<- error
}

// NewMaintainer makes a maintainer, whose Run is to be called.
func NewMaintainer() *Maintainer {
	return &Maintainer{wake: make(chan struct{}, 1), orders: make(chan order), ended: make(chan struct{})}
}

// Run works until ctx ends: what Do asks for, due after a Wake, and swept each time that every has passed,
// if that is not zero.
func (m *Maintainer) Run(ctx context.Context, every time.Duration, due, swept func(ctx context.Context)) {
	defer close(m.ended)
	var sweep <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		sweep = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-m.orders:
			o.answer <- o.do(ctx)
		case <-m.wake:
			due(ctx)
		case <-sweep:
			swept(ctx)
		}
	}
}

// Wake has Run look what is due.
func (m *Maintainer) Wake() {
	select {
	case m.wake <- struct{}{}:
	default: // it has not yet looked since the last time
	}
}

// Do has Run do something, and returns its error; ErrEnded after the end of Run.
func (m *Maintainer) Do(ctx context.Context, do func(ctx context.Context) error) error {
	answer := make(chan error, 1)
	select {
	case m.orders <- order{do, answer}:
	case <-ctx.Done():
		return ctx.Err()
	case <-m.ended:
		return ErrEnded
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Report tells of maintenance that failed, unless it is the end of ctx. It is tried again, and commits say
// themselves what is wrong with the disk.
func (db *DB) Report(ctx context.Context, step string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	if db.o.Failed != nil {
		db.o.Failed()
	}
	db.o.Log.Warn("store maintenance failed", "step", step, "err", db.Explain(err))
}

// Slice is Write for maintenance that has much to do: fn stops at a good place once isOver says that
// commits have waited for it long enough. The more is left beyond what is calm, the longer they
// wait: so maintenance keeps up with any rate of commits. The first call of isOver is false, or nothing
// would ever be done.
//
// What it writes is on the disk with the next Write, and not before: a loss of power may undo slices, the last
// ones first.
func (db *DB) Slice(ctx context.Context, left, calm int64, fn func(ctx context.Context, tx *sql.Tx, isOver func() bool) error) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	length := sliceLength * time.Duration(max(1, 2*left/calm))
	ctx = context.WithoutCancel(ctx) // it is short, and the driver would start a goroutine for each statement
	return withoutFlush(ctx, conn, func() error {
		return db.write(ctx, conn, func(tx *sql.Tx) error {
			begun, done := time.Now(), false
			return fn(ctx, tx, func() bool {
				isOver := done && time.Since(begun) > length
				done = true
				return isOver
			})
		})
	})
}

// withoutFlush calls write with a connection whose commits do not wait for the disk.
func withoutFlush(ctx context.Context, conn *sql.Conn, write func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = normal"); err != nil {
		return err
	}
	defer func() {
		if _, failed := conn.ExecContext(ctx, "PRAGMA synchronous = full"); failed != nil {
			_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn }) // the next one is opened with full
			err = errors.Join(err, failed)
		}
	}()
	return write()
}
