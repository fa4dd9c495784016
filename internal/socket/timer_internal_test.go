package socket

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/timerwheel"
)

// The clock of the wheels stands still while they turn, and while the machine has other things
// to do. A timer that is set meanwhile counts from the time that it is.
func TestATimerIsNotEarlyWhileTheClockIsLate(t *testing.T) {
	t.Parallel()
	e := &Engine{started: time.Now().Add(-10 * tick)}
	e.now.Store(1) // as it was ten ticks ago
	c := &Conn{eng: e, wheel: new(timerwheel.Wheel[Conn]), state: open}
	c.SetTimer(3 * tick)
	if early := c.wheel.Advance(14, nil); len(early) > 0 {
		t.Error("it fires before its time")
	}
	if due := c.wheel.Advance(16, nil); len(due) != 1 {
		t.Error("it does not fire two ticks later")
	}
}
