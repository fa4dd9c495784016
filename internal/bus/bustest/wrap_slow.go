//go:build slowbus

package bustest

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/locks"
)

const delay = 2 * time.Millisecond

// Wrap is b, answering after 2 ms. A caller that holds a lock over a call fails the test.
func Wrap(t testing.TB, b bus.Bus) bus.Bus {
	return NewSlow(b, delay, func() {
		if held := locks.Held(); len(held) > 0 {
			t.Errorf("a lock is held over a call of the bus: it was taken at %s", strings.Join(held, " and "))
		}
	})
}

// Settle waits for what a bus of Wrap has still to do. It is called in a bubble of synctest.
func Settle() { <-time.After(2 * delay) }

// SkipIfSlow skips a test that measures time to the millisecond if buses of Wrap are slow.
func SkipIfSlow(t testing.TB) {
	t.Helper()
	t.Skip("measures time to the millisecond")
}
