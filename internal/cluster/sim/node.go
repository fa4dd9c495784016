package sim

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// Node is a machine with a clock, and a process on it that runs, stands still or is dead.
type Node struct {
	ID cluster.NodeID

	world *World
	index int
	clock clock

	isUp      bool
	life      uint64        // of the process; each start begins one
	stopped   time.Duration // the real time until which the process stands still
	suspended time.Duration // the real time until which the machine is suspended
	parked    []event       // what has happened to a process that stands still
}

// boot gives the machine another clock.
func (n *Node) boot() {
	r := n.world.Rand
	n.clock = clock{
		rate: n.world.rates.draw(r),
		at:   n.world.now,
		read: time.Duration(r.Int64N(int64(1000 * time.Hour))),
		wall: time.Duration(r.Int64N(int64(1000 * time.Hour))),
	}
}

// Clock is the time since boot, as CLOCK_BOOTTIME has it: it counts while the machine is suspended.
func (n *Node) Clock() time.Duration { return n.clock.reading(n.world.now) }

// Monotonic is the time since boot without suspensions, as CLOCK_MONOTONIC has it.
func (n *Node) Monotonic() time.Duration { return n.Clock() - n.clock.suspended }

// Wall is the time of day, which steps.
func (n *Node) Wall() time.Time { return time.Unix(0, 0).Add(n.Clock() + n.clock.wall).UTC() }

// IsUp reports whether the process lives; it may stand still.
func (n *Node) IsUp() bool { return n.isUp }

// IsRunning reports whether the process lives and does not stand still.
func (n *Node) IsRunning() bool { return n.isUp && n.stopped <= n.world.now }

// Life is the number of starts.
func (n *Node) Life() uint64 { return n.life }

// Start begins a life of the process.
func (n *Node) Start() {
	if n.isUp {
		return
	}
	n.isUp = true
	n.life++
}

// Kill ends the life of the process at once. What was to happen in it does not happen.
func (n *Node) Kill() {
	if !n.isUp {
		return
	}
	n.isUp = false
	n.stopped, n.suspended = 0, 0
	n.parked = nil
	n.world.Faults.add(Kill)
	for _, do := range n.world.killed {
		do(n)
	}
}

// Reboot kills the process and gives the machine another clock, whose reading has nothing to do with the former one.
func (n *Node) Reboot() {
	n.Kill()
	n.boot()
	n.world.Faults.add(Reboot)
}

// Pause makes the process stand still for a real time. Its clock goes on, and what it is sent waits.
func (n *Node) Pause(d time.Duration) {
	if !n.isUp {
		return
	}
	n.world.Faults.add(Pause)
	n.stop(d)
}

// Suspend makes the machine stand still for a real time. Its clock goes on.
func (n *Node) Suspend(d time.Duration) {
	if !n.isUp {
		return
	}
	n.world.Faults.add(Suspension)
	now := n.world.now
	from, end := max(now, n.suspended), now+d
	if end > from {
		n.clock.suspended += n.clock.reading(end) - n.clock.reading(from)
		n.suspended = end
	}
	n.stop(d)
}

// StepWall moves the time of day.
func (n *Node) StepWall(d time.Duration) {
	n.clock.wall += d
	n.world.Faults.add(WallStep)
}

// ChangeRate draws another rate for the clock of the node, within the bounds.
func (n *Node) ChangeRate() {
	n.clock.setRate(n.world.now, n.world.rates.draw(n.world.Rand))
	n.world.Faults.add(RateChange)
}

// Post calls do after a real time, in this life of the process, and not while it stands still.
func (n *Node) Post(d time.Duration, do func()) {
	n.world.plan(event{at: n.world.now + max(0, d), node: n, life: n.life, do: do})
}

// After calls do when the clock of the node has gone on by d, in this life of the process, and not while it stands still.
func (n *Node) After(d time.Duration, do func()) {
	n.world.plan(event{at: n.world.now + n.clock.realTime(d), node: n, life: n.life, due: n.Clock() + d, do: do})
}

func (n *Node) stop(d time.Duration) {
	n.stopped = max(n.stopped, n.world.now+d)
	n.world.After(d, n.wake)
}

// wake lets the process take what has happened to it, unless it still stands still.
func (n *Node) wake() {
	if n.stopped > n.world.now || len(n.parked) == 0 {
		return
	}
	parked := n.parked
	n.parked = nil
	for i := range parked {
		parked[i].at = n.world.now
		n.world.plan(parked[i])
	}
}

// takes reports whether an event happens to the process now. One that it will take later is parked, or planned again.
func (n *Node) takes(e *event) bool {
	switch {
	case !n.isUp || e.life != n.life:
		return false
	case n.stopped > n.world.now || len(n.parked) > 0:
		n.parked = append(n.parked, *e)
		return false
	case e.due > n.Clock():
		e.at = n.world.now + n.clock.realTime(e.due-n.Clock())
		n.world.plan(*e)
		return false
	}
	return true
}
