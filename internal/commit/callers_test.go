package commit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/commit"
)

// Callers of many goroutines each get the answer of their own item, and every item is committed
// once, those of one caller in its order.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	const callers, each = 16, 200
	var order []int
	c := &numbers{order: &order}
	q := commit.New[*number](commit.Options{Group: commit.Size{Entries: 7}})
	ctx, stop := context.WithCancel(t.Context())
	var serving, calling sync.WaitGroup
	serving.Go(func() {
		if err := errors.Join(q.Serve(ctx, c), q.Finish(context.WithoutCancel(ctx), c)); err != nil {
			t.Error(err)
		}
	})
	for i := range callers {
		calling.Go(func() {
			n := &number{ticket: commit.NewTicket()}
			for j := range each {
				n.value = i*each + j
				err := q.Do(t.Context(), n, commit.Size{Bytes: 1, Entries: 1}, n.ticket)
				if isOdd := n.value%2 == 1; isOdd != errors.Is(err, errDisk) {
					t.Errorf("%d: %v", n.value, err)
				}
			}
		})
	}
	calling.Wait()
	stop()
	serving.Wait()
	next := [callers]int{}
	for _, v := range order {
		if v%each != next[v/each] {
			t.Fatalf("%d comes out of order", v)
		}
		next[v/each]++
	}
	if len(order) != callers*each {
		t.Errorf("%d committed", len(order))
	}
}

// Callers that are answered together are in one group again: no group of the first that comes is between.
func TestCallersStayTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in which a store ends when every caller waits, however loaded the machine is
		const callers, rounds = 64, 50
		q := commit.New[*number](commit.Options{})
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		c := &discard{wait: 200 * time.Microsecond}
		go func() { served <- q.Serve(ctx, c) }()
		var calling sync.WaitGroup
		for range callers {
			calling.Go(func() {
				n := &number{ticket: commit.NewTicket()}
				for range rounds {
					if err := q.Do(ctx, n, commit.Size{Entries: 1}, n.ticket); err != nil {
						t.Error(err)
					}
				}
			})
		}
		calling.Wait()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		t.Logf("%d groups for %d rounds", c.groups, rounds)
		if c.groups > rounds*17/10 { // twice as many as rounds otherwise
			t.Errorf("%d groups for %d rounds", c.groups, rounds)
		}
	})
}

type number struct {
	value  int
	ticket *commit.Ticket
}

type numbers struct{ order *[]int }

func (c *numbers) Store(_ context.Context, group []*number) error {
	for _, n := range group {
		if n.value%2 == 1 {
			n.ticket.Answer(errDisk)
		}
	}
	return nil
}

func (c *numbers) Install(_ context.Context, group []*number) {
	for _, n := range group {
		*c.order = append(*c.order, n.value)
	}
}

func (c *numbers) Refuse([]*number, error) time.Duration { return 0 }

// BenchmarkDo is what a caller pays for the queue when so many share groups, and the store costs
// nothing or waits as for a disk. It reports how many items a group has.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		for _, wait := range []time.Duration{0, 200 * time.Microsecond} {
			b.Run(fmt.Sprintf("callers=%d/store=%v", callers, wait), func(b *testing.B) {
				q := commit.New[*number](commit.Options{})
				ctx, stop := context.WithCancel(b.Context())
				served := make(chan error, 1)
				c := &discard{wait: wait}
				go func() { served <- q.Serve(ctx, c) }()
				var left atomic.Int64
				left.Store(int64(b.N))
				var calling sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range callers {
					calling.Go(func() {
						n := &number{ticket: commit.NewTicket()}
						for left.Add(-1) >= 0 {
							if err := q.Do(ctx, n, commit.Size{Bytes: 200, Entries: 1}, n.ticket); err != nil {
								b.Error(err)
							}
						}
					})
				}
				calling.Wait()
				stop()
				if err := <-served; err != nil {
					b.Error(err)
				}
				b.ReportMetric(float64(b.N)/float64(c.groups), "items/group")
			})
		}
	}
}

// discard stores nothing.
type discard struct {
	wait   time.Duration
	groups int
}

func (d *discard) Store(context.Context, []*number) error {
	d.groups++
	if d.wait > 0 {
		<-time.After(d.wait)
	}
	return nil
}

func (d *discard) Install(context.Context, []*number)            {}
func (d *discard) Refuse([]*number, error) (again time.Duration) { return 0 }
