package timerwheel

import (
	"math/rand/v2"
	"testing"
)

type owner struct{ timer Timer[owner] }

func (o *owner) set(w *Wheel[owner], at uint32) { w.Set(&o.timer, o, at) }

func TestTheWheelFiresEachTimerOnceAtItsTick(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	var w Wheel[owner]
	want := map[*owner]uint32{}
	for range 2000 {
		o := new(owner)
		at := 1 + rnd.Uint32N(3*slots)
		o.set(&w, 1+rnd.Uint32N(3*slots))
		o.set(&w, at) // replaces
		want[o] = at
		if rnd.IntN(5) == 0 {
			o.set(&w, 0)
			delete(want, o)
		}
	}
	for now := uint32(1); now < 3*slots+10; {
		for _, o := range w.Advance(now, nil) {
			if at, ok := want[o]; !ok || at > now || at+8 < now {
				t.Fatalf("fired at %d, armed for %d (%v)", now, at, ok)
			}
			delete(want, o)
		}
		now += 1 + rnd.Uint32N(5)
	}
	if len(want) > 0 {
		t.Errorf("%d timers did not fire", len(want))
	}
	o := new(owner)
	o.set(&w, w.now+5)
	if due := w.Advance(w.now+3*slots, nil); len(due) != 1 {
		t.Errorf("%d timers fired after a long sleep, want 1", len(due))
	}
}

func TestATimerIsArmedAgainWhereItHasFired(t *testing.T) {
	t.Parallel()
	var w Wheel[owner]
	a, b := new(owner), new(owner)
	for round := range uint32(3) {
		a.set(&w, 10*round+1)
		b.set(&w, 10*round+1)
		if due := w.Advance(10*round+5, nil); len(due) != 2 || due[0] == due[1] {
			t.Errorf("round %d: %d timers fired, want both", round, len(due))
		}
	}
	if due := w.Advance(100, nil); len(due) > 0 {
		t.Errorf("%d timers fired that were not armed", len(due))
	}
}
