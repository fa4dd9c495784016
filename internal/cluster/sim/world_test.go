package sim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

func started(w *sim.World) *sim.World {
	for _, n := range w.Nodes() {
		n.Start()
	}
	return w
}

func TestEventsHappenInOrder(t *testing.T) {
	t.Parallel()
	w := sim.NewWorld(1)
	var got []int
	for i, after := range []time.Duration{3, 1, 2, 1, 0} {
		w.After(after, func() { got = append(got, i) })
	}
	w.Run(2)
	if want := []int{4, 1, 3, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if w.Now() != 2 {
		t.Errorf("the time is %v, want 2ns", w.Now())
	}
}

func TestClocksGoOnAtTheirRates(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		w := started(sim.NewWorld(seed, "a", "b", "c", "d"))
		from := make([]time.Duration, len(w.Nodes()))
		for i, n := range w.Nodes() {
			from[i] = n.Clock()
		}
		w.Run(sec)
		least, most := time.Hour, time.Duration(0)
		for i, n := range w.Nodes() {
			took := n.Clock() - from[i]
			least, most = min(least, took), max(most, took)
		}
		if least < 800*ms || most > 1200*ms || float64(most) > 1.2001*float64(least) {
			t.Errorf("seed %d: in a second the slowest clock went on by %v, the fastest by %v", seed, least, most)
		}
	}
}

func TestTimersFollowTheClockOfTheirNode(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		w := started(sim.NewWorld(seed, "a"))
		n := w.Nodes()[0]
		start, fired := n.Clock(), time.Duration(0)
		n.After(sec, func() { fired = n.Clock() - start })
		w.After(300*ms, n.ChangeRate)
		w.Run(2 * sec)
		if fired < sec || fired > 1500*ms {
			t.Errorf("seed %d: the timer of a second fired after %v", seed, fired)
		}
	}
}

func TestSuspensionCountsForOneClockOnly(t *testing.T) {
	t.Parallel()
	w := started(sim.NewWorld(3, "a"))
	n := w.Nodes()[0]
	clock, monotonic := n.Clock(), n.Monotonic()
	n.Suspend(sec)
	n.Suspend(500 * ms) // within the first
	w.Run(2 * sec)
	clock, monotonic = n.Clock()-clock, n.Monotonic()-monotonic
	if ratio := float64(monotonic) / float64(clock); ratio < 0.499 || ratio > 0.501 {
		t.Errorf("of two seconds, one of them suspended, the clock counted %v and the monotonic one %v", clock, monotonic)
	}
}

func TestAProcessThatStandsStillTakesEventsLater(t *testing.T) {
	t.Parallel()
	w := started(sim.NewWorld(4, "a"))
	n := w.Nodes()[0]
	var got []time.Duration
	for _, after := range []time.Duration{1, 10 * ms, 20 * ms, 200 * ms} {
		n.Post(after, func() { got = append(got, w.Now()) })
	}
	w.After(5*ms, func() { n.Pause(100 * ms) })
	w.Run(sec)
	if want := []time.Duration{1, 105 * ms, 105 * ms, 200 * ms}; !slices.Equal(got, want) {
		t.Errorf("events at %v, want %v", got, want)
	}
}

func TestADeadProcessTakesNothing(t *testing.T) {
	t.Parallel()
	w := started(sim.NewWorld(5, "a"))
	n := w.Nodes()[0]
	count := 0
	n.Post(10*ms, func() { count++ })
	n.After(20*ms, func() { count++ })
	n.Kill()
	n.Start()
	w.Run(sec)
	if count != 0 {
		t.Errorf("%d events of the former life happened", count)
	}
}

// traffic sends numbered frames from a to b and returns what arrived, with its time.
func traffic(seed uint64, t sim.Traffic, disturb func(*sim.World, *sim.Network)) (w *sim.World, got []int) {
	w = started(sim.NewWorld(seed, "a", "b", "c"))
	network := sim.NewNetwork(w)
	way := network.Datagrams(t, func(_, _ cluster.NodeID, frame any) { got = append(got, frame.(int)) })
	disturb(w, network)
	for i := range 1000 {
		w.After(time.Duration(i)*ms, func() { way.Send("a", "b", i) })
	}
	w.Run(10 * sec)
	return w, got
}

func TestDatagramsFailAsTheyAreTold(t *testing.T) {
	t.Parallel()
	calm := sim.Traffic{Delay: ms, Jitter: ms / 2}
	nothing := func(*sim.World, *sim.Network) {}
	tests := map[string]struct {
		traffic     sim.Traffic
		disturb     func(*sim.World, *sim.Network)
		least, most int
		isOrdered   bool
		fault       sim.Fault
	}{
		"calm":       {calm, nothing, 1000, 1000, true, sim.Kill},
		"lost":       {sim.Traffic{Delay: ms, Lost: 0.5}, nothing, 400, 600, true, sim.FrameLost},
		"duplicated": {sim.Traffic{Delay: ms, Jitter: 20 * ms, Duplicated: 0.5}, nothing, 1400, 1600, false, sim.FrameDuplicated},
		"reordered":  {sim.Traffic{Delay: ms, Jitter: 20 * ms, Reordered: 0.5}, nothing, 1000, 1000, false, sim.FrameReordered},
		"late":       {sim.Traffic{Delay: ms, Late: 0.1, Lateness: sec}, nothing, 1000, 1000, false, sim.FrameLate},
		"one way": {calm, func(w *sim.World, n *sim.Network) {
			w.After(500*ms, func() { n.Cut("a", "b", 100*ms) })
		}, 895, 905, true, sim.FrameCut},
		"other way": {calm, func(_ *sim.World, n *sim.Network) { n.Cut("b", "a", sec) }, 1000, 1000, true, sim.Kill},
		"isolated": {calm, func(w *sim.World, n *sim.Network) {
			w.After(500*ms, func() { n.Isolate("b", 100*ms) })
		}, 895, 905, true, sim.FrameCutPair},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, got := traffic(7, test.traffic, test.disturb)
			if len(got) < test.least || len(got) > test.most || slices.IsSorted(got) != test.isOrdered {
				t.Errorf("%d frames arrived (ordered: %v), want %d to %d (%v)",
					len(got), slices.IsSorted(got), test.least, test.most, test.isOrdered)
			}
			if (w.Faults[test.fault] > 0) != (test.fault != sim.Kill) {
				t.Errorf("%v occurred %d times", test.fault, w.Faults[test.fault])
			}
		})
	}
}

func TestARunDependsOnItsSeedAlone(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		w, got := traffic(seed, sim.DefaultTraffic(), func(*sim.World, *sim.Network) {})
		return fmt.Sprint(got, w.Faults)
	}
	if first, second := run(1), run(1); first != second {
		t.Error("two runs of one seed differ")
	}
	if run(1) == run(2) {
		t.Error("runs of two seeds are the same")
	}
}

func TestLinksKeepOrderAndShowGaps(t *testing.T) {
	t.Parallel()
	gaps := 0
	for seed := range uint64(30) {
		w := started(sim.NewWorld(seed, "a", "b"))
		network := sim.NewNetwork(w)
		var last uint64
		arrived := 0
		links := network.Links(sim.DefaultTraffic(), func(_, _ cluster.NodeID, _ cluster.Incarnation, number uint64, frame any) {
			if number <= last || uint64(frame.(int))+1 != number {
				t.Errorf("seed %d: frame %v of number %d after number %d", seed, frame, number, last)
			}
			last = number
			arrived++
		})
		links.Begin("a", 1)
		for i := range 1000 {
			w.After(time.Duration(i)*ms, func() { links.Send("a", "b", i) })
		}
		w.After(300*ms, func() { network.Cut("a", "b", 100*ms) })
		w.After(350*ms, func() { network.Reset("a", "b") })
		w.Run(20 * sec)
		if last != 1000 {
			t.Errorf("seed %d: the last frame that arrived is %d", seed, last)
		}
		if lost := 1000 - arrived; lost > 0 {
			gaps++
			if w.Faults[sim.LinkGap] == 0 {
				t.Errorf("seed %d: %d frames lost, and no gap counted", seed, lost)
			}
		}
	}
	if gaps == 0 || gaps == 30 {
		t.Errorf("%d of 30 resets lost frames", gaps)
	}
}
