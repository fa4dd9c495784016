package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/script"
	"github.com/millrace/millrace/internal/protocol"
)

// Verbs of what clients and backends do.
const (
	verbPublish = "publish" // node, number: which publish; text: topics
	verbJoin    = "join"    // node, number: which connection; text: topic
	verbLeave   = "leave"   // node, number: which of the connections that there are
	verbReplay  = "replay"  // node, number: how far back; text: topic
	verbOnce    = "once"    // node, number: which key; text: which content
	verbListen  = "listen"  // node, number: which connection; text: pattern
	verbIgnore  = "ignore"  // node, number: which of the connections with patterns that there are
	verbAdmit   = "admit"   // node, number: how many connections
	verbEnd     = "end"     // node, number: which of its connections, and how many
	verbChange  = "change"  // node, number: of which app
	verbOrder   = "order"   // node, number: what kind
	verbMutate  = "mutate"  // node, number: which batch
	verbFeed    = "feed"    // node: it makes batches from logged topics from now on
	verbMute    = "mute"    // node, for: its reports do not come, then it is killed
)

// warmup is how long a fleet is left alone before the first operation, and quiet after the last.
const (
	warmup = 2 * time.Second
	quiet  = 25 * time.Second
)

// Generate makes a script of so many operations.
func Generate(seed uint64, n int, o Options) *script.Run {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it is to be repeatable
	_, nodes := names(o.withDefaults())
	ts := topics()
	s := &script.Run{Seed: seed}
	for i := range n {
		if r.IntN(1000) == 0 {
			s.Ops = append(s.Ops, isolate(r, nodes))
			continue
		}
		op := script.Op{Node: nodes[r.IntN(len(nodes))], Number: uint64(i)}
		switch k := r.IntN(100); {
		case k < 42:
			op.Verb = verbPublish
			op.Text = ts[r.IntN(len(ts))].Name
		case k < 47:
			op.Verb = []string{verbAdmit, verbAdmit, verbAdmit, verbEnd, verbEnd, verbChange, verbOrder}[r.IntN(7)]
			op.Number = r.Uint64N(1000)
		case k < 52:
			op.Verb, op.Text = verbListen, drawPattern(r)
		case k < 53:
			op.Verb, op.Number = verbIgnore, r.Uint64N(1000)
		case k < 69:
			op.Verb, op.Text = verbJoin, ts[r.IntN(len(ts))].Name
		case k < 84:
			op.Verb, op.Number = verbLeave, r.Uint64N(1000)
		case k < 90:
			op.Verb, op.Text, op.Number = verbReplay, ts[r.IntN(len(ts))].Name, r.Uint64N(40)
		case k < 91:
			s.Ops = append(s.Ops, handOver(r, nodes)...)
			continue
		case k < 97:
			op.Verb, op.Number, op.Text = verbOnce, drawKey(r, i), drawContent(r)
		default:
			op = script.Draw(r, faults(), nodes)
		}
		if op.Verb == verbPublish {
			drawMutation(&op, i)
		}
		op.Wait = time.Duration(r.ExpFloat64() * float64(8*time.Millisecond)).Round(10 * time.Microsecond)
		s.Ops = append(s.Ops, op)
	}
	return s
}

// drawMutation makes some publishes mutations. Batches are asked for again, at once and some seconds later.
func drawMutation(op *script.Op, i int) {
	const each, per, back = 7, 15, 20
	switch {
	case i%each == 3:
		op.Verb, op.Number, op.Text = verbMutate, uint64(max(0, i/per-back*(i/each%2))), "" //nolint:gosec // positive
	case i%(each*each) == 5:
		op.Verb, op.Number, op.Text = verbFeed, 0, ""
	}
}

// handOver makes a hand-over. Half of them have a fault while they go on, many of the successor. In some the successor is paused
// when the log elects it.
func handOver(r *rand.Rand, nodes []cluster.NodeID) []script.Op {
	const most = 30 * time.Millisecond
	wait := func() time.Duration { return time.Duration(r.Int64N(int64(most))).Round(10 * time.Microsecond) }
	op := script.Op{Wait: wait(), Verb: script.VerbHandOver, Node: nodes[r.IntN(len(nodes))], Other: nodes[r.IntN(len(nodes))]}
	if r.IntN(8) == 0 {
		op.For = (200*time.Millisecond + time.Duration(r.Int64N(int64(time.Second)))).Round(time.Millisecond)
	}
	if r.IntN(2) == 0 {
		return []script.Op{op}
	}
	fault := script.Draw(r, script.DefaultFaults(), nodes)
	if fault.Wait = wait(); r.IntN(2) == 0 && fault.Other != op.Other {
		fault.Node = op.Other
	}
	return []script.Op{op, fault}
}

// isolate makes an isolation that lasts until its node finds it out.
func isolate(r *rand.Rand, nodes []cluster.NodeID) script.Op {
	const least, most = 1500 * time.Millisecond, 7 * time.Second
	return script.Op{Verb: script.VerbIsolate, Node: nodes[r.IntN(len(nodes))], For: (least + time.Duration(r.Int64N(int64(most-least)))).Round(time.Millisecond)}
}

// Outcome is what a run has shown.
type Outcome struct {
	Script     *script.Run
	Options    Options
	Report     sim.Report
	Violations []string
	Gaps       int // in links

	Acknowledged int // publications, when the last operation was carried out
}

// Run carries a script out.
func Run(s *script.Run, o Options) *Outcome {
	f := New(s.Seed, o)
	f.world.Run(warmup)
	for i := range s.Ops {
		f.world.Run(s.Ops[i].Wait)
		f.say("%s", &s.Ops[i])
		f.do(&s.Ops[i])
	}
	acknowledged := f.acknowledged
	f.injector.Heal()
	f.world.Run(quiet)
	f.probe()
	f.settle()
	f.probeRequests(s.Seed%2 == 0)
	f.settle()
	f.settle()
	standing := f.standing()
	standing.Entities = f.contents()
	f.models.CheckQuiet(f.now(), standing)
	return &Outcome{
		Script: s, Options: o,
		Report:     sim.Report{Operations: len(s.Ops), Violations: f.models.Count() + len(f.broken), Faults: f.world.Faults},
		Violations: append(f.broken, f.models.Violations()...),
		Gaps:       f.gaps,

		Acknowledged: acknowledged,
	}
}

// settle lets time pass until owners have decided for some seconds: the log goes on to fail now and then.
func (f *Fleet) settle() {
	const step, calm, most = 100 * time.Millisecond, 60, 600
	for n, since := 0, 0; n < most && since < calm; n++ {
		f.world.Run(step)
		if since++; !f.decides() {
			since = 0
		}
	}
}

// decides reports whether every partition has an owner that decides.
func (f *Fleet) decides() bool {
	for p := range f.o.Partitions {
		if !slices.ContainsFunc(f.cores, func(id cluster.NodeID) bool {
			m := f.nodes[id]
			return m.machine != nil && m.machine.Decides(m.node.Clock(), cluster.Partition(p)) //nolint:gosec // few
		}) {
			return false
		}
	}
	return true
}

// Shrink returns a part of the script that breaks a promise too: no single operation can be left out of it.
func (o *Outcome) Shrink() *script.Run {
	run := func(ops []script.Op) *Outcome { return Run(&script.Run{Seed: o.Script.Seed, Ops: ops}, o.Options) }
	ops := script.Shrink(o.Script.Ops, func(ops []script.Op) bool { return len(run(ops).Violations) > 0 })
	return &script.Run{Seed: o.Script.Seed, Ops: ops, Note: o.Options.Name() + "\n" + run(ops).Violations[0]}
}

// Kinds are the fleets that are tried.
func Kinds() []Options {
	return []Options{{}, {Partitions: 4}, {IsSequenced: true}}
}

// Name says what kind of fleet it is.
func (o *Options) Name() string {
	name := "replicated log"
	if o.IsSequenced {
		name = "log fenced by its last sequence"
	}
	return fmt.Sprintf("%s, %d partitions", name, max(o.Partitions, 1))
}

// faults are the faults of scripts.
func faults() []script.FaultKind {
	return append(script.DefaultFaults(), script.FaultKind{Verb: verbMute, Weight: 2, Least: time.Second, Most: 8 * time.Second})
}

// NotExpected are kinds of faults that fleets do not meet: their links have rules of their own for what frames do.
func NotExpected() []sim.Fault { return []sim.Fault{sim.LinkGap} }

func (f *Fleet) do(o *script.Op) {
	m := f.nodes[o.Node]
	switch o.Verb {
	case verbPublish, verbJoin, verbLeave, verbReplay, verbOnce, verbListen, verbIgnore, verbAdmit, verbEnd, verbChange, verbOrder, verbMutate, verbFeed:
		if m != nil && m.machine != nil && m.node.IsRunning() {
			f.use(m, o)
		}
	default:
		f.fault(o)
	}
}

func (f *Fleet) use(m *member, o *script.Op) {
	t := protocol.Topic{App: "app", Name: o.Text}
	switch o.Verb {
	case verbListen:
		m.joinPattern(o.Text, o.Number)
	case verbIgnore:
		if n := len(m.clients.listeners); n > 0 {
			m.leavePattern(m.clients.listeners[o.Number%uint64(n)])
		}
	case verbOnce:
		m.publishOnce(o.Number, o.Text)
	case verbPublish:
		ts := []protocol.Topic{t}
		for i := range f.topics { // some have several topics of a partition
			if x := f.topics[i]; o.Number%7 == 0 && len(ts) < 3 && x != t &&
				cluster.PartitionOf(&x, f.o.Partitions) == cluster.PartitionOf(&t, f.o.Partitions) {
				ts = append(ts, x)
			}
		}
		m.publish(o.Number, ts)
	case verbJoin:
		m.join(t, o.Number)
	case verbLeave:
		if n := len(m.clients.conns); n > 0 {
			m.leave(m.clients.conns[o.Number%uint64(n)])
		}
	case verbMutate:
		m.mutate(o.Number)
	case verbFeed:
		m.feed()
	case verbAdmit:
		m.admit(1 + int(o.Number%4)) //nolint:gosec // small
	case verbEnd:
		m.end(1+int(o.Number%6), o.Number) //nolint:gosec // small
	case verbChange:
		m.change(o.Number)
	case verbOrder:
		m.order(cluster.OrderKind(o.Number % 4)) //nolint:gosec // few
	case verbReplay:
		at, ok := f.standing().Position(t)
		if ok && at.StreamID != "" {
			at.Serial -= min(at.Serial, o.Number)
			m.replay(t, at)
		}
	}
}

// mute keeps the reports of a node away for a time. Then the node is started again: an owner that has waited for them would wait
// for ever.
func (f *Fleet) mute(o *script.Op) {
	f.world.Faults[sim.NoReports]++
	m := f.nodes[o.Node]
	m.mutes++
	f.world.After(o.For, func() {
		m.mutes--
		f.injector.Do(&script.Op{Verb: script.VerbKill, Node: o.Node, For: 50 * time.Millisecond})
	})
}

// fault carries a fault out, and tells the models how long it lasts.
func (f *Fleet) fault(o *script.Op) {
	if !slices.Contains(f.names, o.Node) || o.Verb == script.VerbStall && !slices.Contains(f.cores, o.Node) {
		return
	}
	heard := []cluster.NodeID(nil)
	switch o.Verb {
	case script.VerbPause, script.VerbSuspend, script.VerbIsolate, script.VerbCut, script.VerbCutPair, verbMute:
		heard = append(heard, o.Node)
		if o.Other != "" {
			heard = append(heard, o.Other)
		}
	}
	f.active++
	f.models.ObserveFaults(f.now(), f.active)
	for _, id := range heard {
		f.nodes[id].deaf++
		f.models.ObserveHeard(f.now(), id, false)
	}
	switch o.Verb {
	case verbMute:
		f.mute(o)
	case script.VerbHandOver:
		f.stumble = o.For
		f.injector.Do(o)
	default:
		f.injector.Do(o)
	}
	f.world.After(max(o.For, 0)+100*time.Millisecond, func() {
		f.active--
		f.models.ObserveFaults(f.now(), f.active)
		for _, id := range heard {
			if f.nodes[id].deaf--; f.nodes[id].deaf == 0 {
				f.models.ObserveHeard(f.now(), id, true)
			}
		}
	})
}
