package commit

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// Committer stores groups and makes them visible. Its methods are called one after the other, from
// Serve and Finish. They must not keep the slice.
type Committer[T any] interface {
	// Store decides what the items mean and makes all of that durable, or nothing.
	// ctx does not end with Serve's.
	Store(ctx context.Context, group []T) error
	// Install makes a stored group visible. ctx is the one of Serve or Finish.
	Install(ctx context.Context, group []T)
	// Refuse takes back what Store has decided, and says whether the group is to be tried again:
	// after zero it is not, and its callers get err, the error of Store. Otherwise Store is called
	// with the same group after that time at the latest, and nothing else is taken until then.
	Refuse(group []T, err error) (retry time.Duration)
}

// Scheduler is a Committer that has more to store than items: its groups may be empty.
type Scheduler interface {
	// Prepare is called before a group is taken. It may put items.
	Prepare()
	// Next is called after a group. It says when the next group is to be taken at the latest; it
	// is false when there is nothing to do any more, and Serve or Finish returns.
	Next() (wait time.Duration, goesOn bool)
}

// run is one Serve or Finish.
type run[T any] struct {
	*Queue[T]
	c         Committer[T]
	scheduler Scheduler       // nil: c is none
	storing   context.Context //nolint:containedctx // what Store gets: the values of the context of the run, without its end
	timer     *time.Timer
}

func (q *Queue[T]) newRun(ctx context.Context, c Committer[T]) *run[T] {
	r := &run[T]{Queue: q, c: c, storing: context.WithoutCancel(ctx)}
	r.scheduler, _ = c.(Scheduler)
	r.timer = time.NewTimer(0)
	if r.scheduler == nil {
		r.timer.Stop()
	}
	return r
}

// Serve commits group after group until ctx ends or a Scheduler has nothing to do any more. It
// leaves what waits then to Finish. An error is a *Panic.
func (q *Queue[T]) Serve(ctx context.Context, c Committer[T]) error {
	r := q.newRun(ctx, c)
	defer r.timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-q.signal:
		case <-r.timer.C:
		}
		goesOn, err := r.work(ctx)
		if err != nil || !goesOn {
			return err
		}
	}
	return nil
}

// Finish commits all that waits and returns once nothing does, or when ctx ends. An error is a *Panic
// or says that ctx has ended before all was stored. Its caller has closed the queue, unless a
// Scheduler puts what is left.
func (q *Queue[T]) Finish(ctx context.Context, c Committer[T]) error {
	r := q.newRun(ctx, c)
	defer r.timer.Stop()
	for ctx.Err() == nil {
		goesOn, err := r.work(ctx)
		switch {
		case err != nil:
			return err
		case !q.isStaged && !q.IsEmpty():
			continue
		case !q.isStaged && (!goesOn || r.scheduler == nil):
			return nil
		}
		select {
		case <-r.timer.C:
		case <-q.signal:
		case <-ctx.Done():
		}
	}
	if !q.isStaged && q.IsEmpty() {
		return nil
	}
	return fmt.Errorf("commit: not all stored: %w", ctx.Err())
}

// work commits groups while items wait, and sets the timer. goesOn is false when a Scheduler has
// nothing to do any more.
func (r *run[T]) work(ctx context.Context) (goesOn bool, err error) {
	for {
		wait, goesOn, err := r.step(ctx)
		switch {
		case err != nil:
			return false, err
		case goesOn && !r.isStaged && ctx.Err() == nil && !r.IsEmpty():
			continue
		case wait > 0:
			r.timer.Reset(wait)
		case r.scheduler != nil && goesOn:
			r.timer.Reset(0)
		}
		return goesOn, nil
	}
}

// step commits one group, or tries again with the one that is staged, and says when the next step
// is due; after zero it is due when something waits, and at once for a Scheduler.
func (r *run[T]) step(ctx context.Context) (wait time.Duration, goesOn bool, err error) {
	isOver := false
	defer func() {
		if !isOver { // a panic, or the end of the goroutine
			err = r.fail(recover())
		}
	}()
	if !r.isStaged {
		if !r.o.IsInstant {
			r.gather()
			if r.o.Patience > 0 {
				r.await()
			}
		}
		if r.scheduler != nil {
			r.scheduler.Prepare()
		}
		r.take()
		r.before = len(r.group.items)
	}
	if len(r.group.items) > 0 || r.scheduler != nil {
		wait = r.commit(ctx)
	}
	goesOn = true
	if r.scheduler != nil {
		next, more := r.scheduler.Next()
		if goesOn = more; !r.isStaged {
			wait = next
		}
	}
	isOver = true
	return wait, goesOn, nil
}

func (r *run[T]) commit(ctx context.Context) (retry time.Duration) {
	err := r.c.Store(r.storing, r.group.items) //nolint:contextcheck // it inherits from the ctx of the run
	if err == nil {
		r.c.Install(ctx, r.group.items)
	} else {
		retry = r.c.Refuse(r.group.items, err)
	}
	if r.isStaged = retry > 0; !r.isStaged {
		r.answer(err)
	}
	return retry
}

// answer makes room and answers the callers of the group.
func (q *Queue[T]) answer(err error) {
	q.release()
	for i := range q.group.claims {
		if t := q.group.claims[i].ticket; t != nil {
			t.settle(err)
		}
	}
	q.group, q.isStaged = q.group.emptied(), false
}

// fail answers all callers after a panic.
func (q *Queue[T]) fail(value any) error {
	p := &Panic{Value: value, Stack: debug.Stack()}
	q.Close()
	for i := range q.group.claims {
		if t := q.group.claims[i].ticket; t != nil {
			t.isAnswered = false
		}
	}
	q.answer(fmt.Errorf("%w: panic: %v", ErrUncertain, value))
	for !q.IsEmpty() {
		q.take()
		q.answer(ErrClosed)
	}
	return p
}

// Panic is what a Committer has panicked with. The state that it keeps may differ from
// the store, so the process should end.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("commit: panic: %v\n%s", p.Value, p.Stack) }
