package backpressure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/backpressure"
)

// A producer pauses after a part where much waits, until little waits. Others are let in besides.
func TestAPacerPausesUntilLittleWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waits, refusals counter
		b := backpressure.New(1600, &waits, &refusals)
		p := b.Pace()
		defer p.Close()
		isDue := func() (n int) {
			for n = 1; n <= 1000 && !p.Made(); n++ {
			}
			return n
		}
		b.Add(200)
		if n := isDue(); n != 1001 {
			t.Errorf("with an eighth in use it pauses after %d pieces", n)
		}
		b.Add(1)
		for range 2 {
			if n := isDue(); n != 1 {
				t.Errorf("with more in use it pauses after %d pieces", n)
			}
		}
		start := time.Now()
		time.AfterFunc(10*time.Millisecond, func() { b.Release(100) }) // one byte too few
		time.AfterFunc(20*time.Millisecond, func() {
			if err := b.Reserve(t.Context(), 1499); err != nil || waits.n.Load() != 0 {
				t.Errorf("beside the pause another waited: %v", err)
			}
		})
		time.AfterFunc(30*time.Millisecond, func() { b.Release(1) })
		p.Pause()
		if took := time.Since(start); took != 30*time.Millisecond {
			t.Errorf("the pause took %v", took)
		}
		b.Add(1000)
		if n := isDue(); n != 64 {
			t.Errorf("after a pause it pauses after %d pieces", n)
		}
	})
}

// The pauses of a pacer are bounded together.
func TestAPacerEndsItsPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waits, refusals counter
		b := backpressure.New(100, &waits, &refusals)
		p := b.Pace()
		defer p.Close()
		b.Add(100)
		start := time.Now()
		for range 1000 {
			if p.Made() {
				p.Pause()
			}
		}
		if took := time.Since(start); took != 50*time.Millisecond || refusals.n.Load() != 0 {
			t.Errorf("the pauses took %v, and %d were refused", took, refusals.n.Load())
		}
		b.Release(100)
		if err := b.Reserve(t.Context(), 100); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
