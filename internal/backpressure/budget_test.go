package backpressure_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/backpressure"
)

type counter struct{ n atomic.Int32 }

func (c *counter) Inc() { c.n.Add(1) }

// producer is one that called Reserve.
type producer struct {
	cancel context.CancelFunc
	done   chan error
}

func reserve(t *testing.T, b *backpressure.Budget, n int64) *producer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &producer{cancel, make(chan error, 1)}
	go func() { p.done <- b.Reserve(ctx, n) }()
	synctest.Wait()
	return p
}

func (p *producer) expect(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	got := "waiting"
	select {
	case err := <-p.done:
		if got = "admitted"; errors.Is(err, context.Canceled) {
			got = "refused"
		}
		p.done <- err
	default:
	}
	if got != want {
		t.Errorf("the producer is %s, want %s", got, want)
	}
}

func TestProducersWaitInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waits, refusals counter
		b := backpressure.New(100, &waits, &refusals)
		reserve(t, b, 100).expect(t, "admitted")
		b.Add(100)
		large, small, late := reserve(t, b, 500), reserve(t, b, 10), reserve(t, b, 20)
		large.expect(t, "waiting")
		b.Release(60)
		large.expect(t, "waiting")
		small.expect(t, "waiting") // it would fit, and does not overtake
		large.cancel()
		large.expect(t, "refused")
		small.expect(t, "admitted")
		late.expect(t, "admitted")
		large = reserve(t, b, 500)
		b.Release(40)
		large.expect(t, "admitted") // nothing is in use
		if b.Used() != 0 || waits.n.Load() != 4 || refusals.n.Load() != 1 {
			t.Errorf("%d bytes in use, %d waits and %d refusals, want 0, 4 and 1", b.Used(), waits.n.Load(), refusals.n.Load())
		}
	})
}
