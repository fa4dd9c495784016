package sim

import (
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// World is real time, and the nodes that live in it. Everything in it happens in one event after the other.
type World struct {
	Rand   *rand.Rand // of everything in this world
	Faults Faults     // how often each fault has occurred

	now      time.Duration
	sequence uint64
	queue    queue
	nodes    []*Node
	rates    rates
	watchers []func()
	killed   []func(*Node)
}

// NewWorld makes a world in which no node has started.
func NewWorld(seed uint64, nodes ...cluster.NodeID) *World {
	w := &World{Rand: rand.New(rand.NewPCG(seed, 0x6d696c6c72616365))} //nolint:gosec // it is to be repeatable
	w.rates = newRates(w.Rand)
	for i, id := range nodes {
		n := &Node{ID: id, world: w, index: i}
		n.boot()
		w.nodes = append(w.nodes, n)
	}
	return w
}

// Now is the real time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Nodes are all nodes.
func (w *World) Nodes() []*Node { return w.nodes }

// Node finds a node, nil if there is none of this name.
func (w *World) Node(id cluster.NodeID) *Node {
	for _, n := range w.nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// After calls do after a real time, whatever happens to nodes.
func (w *World) After(d time.Duration, do func()) {
	w.plan(event{at: w.now + max(0, d), do: do})
}

// Watch has do called after each event.
func (w *World) Watch(do func()) { w.watchers = append(w.watchers, do) }

// OnKill has do called when a node is killed.
func (w *World) OnKill(do func(*Node)) { w.killed = append(w.killed, do) }

// Run lets a real time pass.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		w.step()
	}
	w.now = end
}

// Heal wakes all nodes that stand still.
func (w *World) Heal() {
	for _, n := range w.nodes {
		n.stopped = w.now
		n.wake()
	}
}

// plan puts an event into the queue.
func (w *World) plan(e event) {
	w.sequence++
	e.sequence = w.sequence
	w.queue.push(e)
}

// step carries out the next event.
func (w *World) step() {
	e := w.queue.pop()
	w.now = e.at
	if e.node != nil && !e.node.takes(&e) {
		return
	}
	e.do()
	for _, watch := range w.watchers {
		watch()
	}
}

// chance reports true with a probability.
func (w *World) chance(p float64) bool { return p > 0 && w.Rand.Float64() < p }

// between draws a duration. Long ones are seldom.
func (w *World) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	f := w.Rand.Float64()
	return least + time.Duration(f*f*float64(most-least))
}
