package script

import (
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
)

// Verbs of faults. Each takes a node, and what is named beside it.
const (
	VerbCut      = "cut"     // other, for: one direction
	VerbCutPair  = "cutpair" // other, for
	VerbIsolate  = "isolate" // for
	VerbReset    = "reset"   // other
	VerbPause    = "pause"   // for
	VerbSuspend  = "suspend" // for
	VerbKill     = "kill"    // for: then it starts again
	VerbReboot   = "reboot"  // for: as kill, with another clock
	VerbStep     = "step"    // for: how far the time of day moves
	VerbRate     = "rate"
	VerbStall    = "stall"    // for
	VerbRefuse   = "refuse"   // for
	VerbHandOver = "handover" // other; of all partitions that the node owns
)

// Injector carries out faults.
type Injector struct {
	World   *sim.World
	Network *sim.Network
	Log     sim.Log
	// Start starts the process of a node.
	Start func(*sim.Node)
	// HandOver has a node hand over what it owns.
	HandOver func(from, to cluster.NodeID)
}

// Do carries out an operation if its verb is one of the above. It reports whether that is so.
func (i *Injector) Do(o *Op) bool {
	n := i.World.Node(o.Node)
	switch o.Verb {
	case VerbCut:
		i.Network.Cut(o.Node, o.Other, o.For)
	case VerbCutPair:
		i.Network.CutPair(o.Node, o.Other, o.For)
	case VerbIsolate:
		i.Network.Isolate(o.Node, o.For)
	case VerbReset:
		i.Network.Reset(o.Node, o.Other)
	case VerbPause:
		n.Pause(o.For)
	case VerbSuspend:
		n.Suspend(o.For)
	case VerbKill:
		i.restart(n, n.Kill, o.For)
	case VerbReboot:
		i.restart(n, n.Reboot, o.For)
	case VerbStep:
		n.StepWall(o.For)
	case VerbRate:
		n.ChangeRate()
	case VerbStall:
		i.Log.Stall(o.Node, o.For)
	case VerbRefuse:
		i.Log.Refuse(o.Node, o.For)
	case VerbHandOver:
		if n.IsRunning() {
			i.HandOver(o.Node, o.Other)
		}
	default:
		return false
	}
	return true
}

// restart ends the process of a node, and starts it again some time after. A process that does not live is left alone.
func (i *Injector) restart(n *sim.Node, end func(), d time.Duration) {
	if !n.IsUp() {
		return
	}
	end()
	i.World.After(d, func() {
		if !n.IsUp() { // Heal has not started it before
			i.Start(n)
		}
	})
}

// Heal ends all faults that last.
func (i *Injector) Heal() {
	i.World.Heal()
	i.Network.Heal()
	for _, n := range i.World.Nodes() {
		if !n.IsUp() {
			i.Start(n)
		}
	}
}

// FaultKind is how often a verb is drawn, and how long what it does lasts.
type FaultKind struct {
	Verb        string
	Weight      int
	Least, Most time.Duration
}

// DefaultFaults are faults as they come in a cluster that has a bad day.
func DefaultFaults() []FaultKind {
	const ms, s = time.Millisecond, time.Second
	return []FaultKind{
		{VerbCut, 10, ms, 3 * s},
		{VerbCutPair, 10, ms, 3 * s},
		{VerbIsolate, 5, ms, 4 * s},
		{VerbReset, 10, 0, 0},
		{VerbPause, 10, ms, 3 * s},
		{VerbSuspend, 5, ms, 3 * s},
		{VerbKill, 6, ms, 3 * s},
		{VerbReboot, 2, 100 * ms, 5 * s},
		{VerbStep, 3, -time.Hour, time.Hour},
		{VerbRate, 10, 0, 0},
		{VerbStall, 1, 10 * s, 10 * s},
		{VerbRefuse, 3, ms, s},
		{VerbHandOver, 4, 0, 0},
	}
}

// Draw draws a fault of the kinds that are given, of some of the nodes. The waiting time is the caller's.
func Draw(r *rand.Rand, kinds []FaultKind, nodes []cluster.NodeID) Op {
	sum := 0
	for _, k := range kinds {
		sum += k.Weight
	}
	at := r.IntN(sum)
	var kind FaultKind
	for _, kind = range kinds {
		if at -= kind.Weight; at < 0 {
			break
		}
	}
	o := Op{Verb: kind.Verb}
	n := r.IntN(len(nodes))
	o.Node = nodes[n]
	switch kind.Verb {
	case VerbCut, VerbCutPair, VerbReset, VerbHandOver:
		o.Other = nodes[(n+1+r.IntN(len(nodes)-1))%len(nodes)]
	}
	if kind.Most > kind.Least {
		f := r.Float64()
		o.For = (kind.Least + time.Duration(f*f*float64(kind.Most-kind.Least))).Round(time.Millisecond)
	} else {
		o.For = kind.Least
	}
	return o
}
