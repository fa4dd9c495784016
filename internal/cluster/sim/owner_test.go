package sim_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/script"
	"github.com/millrace/millrace/internal/log"
)

// conduct is how the owners of a run behave. Its zero value is right.
type conduct struct {
	pipelined     int  // groups outstanding at once, if above 1
	proposesAgain bool // a group that has no outcome, under the next term
	countsReceipt bool // the lease counts from the receipt of an answer
	usesMonotonic bool // the lease does not count while the machine is suspended
	keepsItsLease bool // when it hands over
	ignoresTheEnd bool // of its tenure: its lease alone says how long it decides; that is not wrong
}

// record is one decided publication of a run.
func record(id string, serial uint64) log.Record {
	return log.Record{Kind: log.KindPurge, StreamID: id, Before: serial}
}

// decided is a group that was appended and has no outcome.
type decided struct {
	number   uint64
	group    []log.Record
	proposed time.Duration
}

// part is one node's part in a partition: a fold, which is durable, and an owner in the process.
type part struct {
	run       *run
	node      *sim.Node
	partition cluster.Partition
	fold      []sim.Entry
	serial    uint64 // of the last publication in the fold

	term        log.Term // zero: not the owner
	lease       time.Duration
	next        uint64
	number      uint64
	waiting     []string
	outstanding []decided
	left        []decided // without an outcome, of an earlier term
}

// run is a world with parts, and what was seen of it.
type run struct {
	world      *sim.World
	network    *sim.Network
	log        sim.Log
	injector   *script.Injector
	conduct    conduct
	heartbeat  time.Duration
	nodes      []cluster.NodeID
	parts      [][]*part // by partition, node
	acked      []map[string]log.Index
	violations []string
	ids        int
}

// violate notes what must not be.
func (r *run) violate(format string, args ...any) {
	if len(r.violations) < 10 {
		r.violations = append(r.violations, fmt.Sprintf("%v: ", r.world.Now())+fmt.Sprintf(format, args...))
	}
}

// kind makes the log of a run.
type kind func(n *sim.Network, o sim.LogOptions, deliver func(cluster.NodeID, any)) sim.Log

func raft(n *sim.Network, o sim.LogOptions, deliver func(cluster.NodeID, any)) sim.Log {
	return sim.NewRaftLog(n, []cluster.NodeID{"a", "b", "c"}, deliver, o)
}

func seq(n *sim.Network, o sim.LogOptions, deliver func(cluster.NodeID, any)) sim.Log {
	return sim.NewSeqLog(n, "log", []cluster.NodeID{"a", "b", "c"}, deliver, o)
}

func newRun(seed uint64, k kind, c conduct, o sim.LogOptions) *run {
	w := sim.NewWorld(seed, "a", "b", "c", "log")
	r := &run{
		world: w, network: sim.NewNetwork(w), conduct: c, heartbeat: o.Heartbeat,
		nodes: []cluster.NodeID{"a", "b", "c"},
	}
	r.log = k(r.network, o, r.deliver)
	for p := range o.Partitions {
		var parts []*part
		for _, id := range r.nodes {
			parts = append(parts, &part{run: r, node: w.Node(id), partition: cluster.Partition(p)})
		}
		r.parts = append(r.parts, parts)
		r.acked = append(r.acked, map[string]log.Index{})
	}
	r.injector = &script.Injector{World: w, Network: r.network, Log: r.log, Start: r.start, HandOver: r.handOver}
	for _, id := range r.nodes {
		r.start(w.Node(id))
	}
	w.Node("log").Start()
	w.Watch(r.checkLeases)
	return r
}

func (r *run) start(n *sim.Node) {
	n.Start()
	for p, parts := range r.parts {
		for _, part := range parts {
			if part.node == n {
				part.reset()
				r.log.Start(n.ID, cluster.Partition(p), log.Index(len(part.fold)))
				part.renew()
			}
		}
	}
}

func (r *run) handOver(from, to cluster.NodeID) {
	if !slices.Contains(r.nodes, to) {
		return
	}
	for _, parts := range r.parts {
		for _, p := range parts {
			if p.node.ID == from && p.term != 0 {
				p.handOver(to)
			}
		}
	}
}

// publish asks every node that owns a partition to publish.
func (r *run) publish() {
	for _, parts := range r.parts {
		for _, p := range parts {
			if p.node.IsRunning() && p.term != 0 {
				r.ids++
				p.waiting = append(p.waiting, fmt.Sprintf("m%d", r.ids))
				p.decide()
			}
		}
	}
}

// checkLeases finds two nodes with valid leases at one moment.
func (r *run) checkLeases() {
	for _, parts := range r.parts {
		var valid *part
		for _, p := range parts {
			if !p.node.IsUp() || !p.hasLease() {
				continue
			}
			if valid != nil {
				r.violate("leases of %s in term %d and of %s in term %d overlap", valid.node.ID, valid.term, p.node.ID, p.term)
			}
			valid = p
		}
	}
}

func (r *run) deliver(id cluster.NodeID, in any) {
	at := func(p cluster.Partition) *part { return r.parts[p][slices.Index(r.nodes, id)] }
	switch in := in.(type) {
	case sim.TenureBegan:
		at(in.Partition).begin(in.Term)
	case sim.TenureEnded:
		if p := at(in.Partition); p.term == in.Term && !r.conduct.ignoresTheEnd {
			p.giveUp()
		}
	case sim.Appended:
		at(in.Partition).appended(&in)
	case sim.Committed:
		at(in.Partition).apply(&in.Entry)
	case sim.Copied:
		at(in.Partition).install(in.Entries)
	}
}

func (p *part) reset() {
	p.term, p.lease, p.waiting, p.outstanding, p.left = 0, 0, nil, nil, nil
}

// giveUp ends the ownership.
func (p *part) giveUp() {
	left := append(p.left, p.outstanding...)
	p.reset()
	if p.run.conduct.proposesAgain {
		p.left = left
	}
}

func (p *part) clock() time.Duration {
	if p.run.conduct.usesMonotonic {
		return p.node.Monotonic()
	}
	return p.node.Clock()
}

func (p *part) hasLease() bool { return p.term != 0 && p.clock() < p.lease }

func (p *part) begin(term log.Term) {
	left := p.left
	p.reset()
	p.term, p.next, p.number = term, p.serial+1, 0
	for _, d := range left {
		if len(d.group) > 0 {
			p.append(d.group)
			p.next = d.group[0].Before + 1
		}
	}
	if len(p.outstanding) == 0 {
		p.append(nil)
	}
}

// renew keeps the lease of an idle owner.
func (p *part) renew() {
	if p.term != 0 && len(p.outstanding) == 0 {
		p.append(nil)
	}
	p.node.After(p.run.heartbeat*2/5, p.renew)
}

// decide gives what waits its serial, under a lease.
func (p *part) decide() {
	for p.hasLease() && len(p.waiting) > 0 && len(p.outstanding) < max(1, p.run.conduct.pipelined) {
		group := []log.Record{record(p.waiting[0], p.next)}
		p.waiting = p.waiting[1:]
		p.next++
		p.append(group)
	}
}

func (p *part) append(group []log.Record) {
	p.number++
	p.outstanding = append(p.outstanding, decided{p.number, group, p.clock()})
	p.run.log.Append(p.node.ID, p.partition, p.term, p.number, group)
}

func (p *part) appended(a *sim.Appended) {
	i := slices.IndexFunc(p.outstanding, func(d decided) bool { return d.number == a.Number })
	if a.Term != p.term || i < 0 {
		return
	}
	d := p.outstanding[i]
	switch {
	case a.Err == nil:
		p.outstanding = slices.Delete(p.outstanding, i, i+1)
		from := d.proposed
		if p.run.conduct.countsReceipt {
			from = p.clock()
		}
		p.lease = max(p.lease, from+p.run.heartbeat*4/5)
		for _, r := range d.group {
			p.run.acked[p.partition][r.StreamID] = a.Index
		}
	case errors.Is(a.Err, log.ErrUncertain):
		p.handOver(p.run.nodes[(slices.Index(p.run.nodes, p.node.ID)+1)%len(p.run.nodes)])
		return
	case errors.Is(a.Err, log.ErrFenced):
		p.giveUp()
		return
	default: // not stored: its serial is free
		p.outstanding = slices.Delete(p.outstanding, i, i+1)
		if len(d.group) > 0 {
			p.next = d.group[0].Before
		}
	}
	p.decide()
}

func (p *part) handOver(to cluster.NodeID) {
	if !p.run.conduct.keepsItsLease {
		p.giveUp()
	}
	if err := p.run.log.HandOver(p.node.ID, p.partition, to); err != nil {
		p.run.violate("%s hands over to %s: %v", p.node.ID, to, err)
	}
}

// apply puts an entry into the fold.
func (p *part) apply(e *sim.Entry) {
	switch next := log.Index(len(p.fold)) + 1; {
	case e.Index < next:
		return
	case e.Index > next:
		p.run.violate("%s is handed entry %d after entry %d", p.node.ID, e.Index, next-1)
		return
	}
	p.fold = append(p.fold, *e)
	for _, r := range e.Group {
		if r.Before != p.serial+1 {
			p.run.violate("%s: serial %d of %s in entry %d follows serial %d", p.node.ID, r.Before, r.StreamID, e.Index, p.serial)
		}
		p.serial = r.Before
	}
}

func (p *part) install(entries []sim.Entry) {
	if len(entries) <= len(p.fold) {
		p.run.violate("%s has %d entries and gets a copy of %d", p.node.ID, len(p.fold), len(entries))
		return
	}
	p.fold, p.serial = slices.Clone(entries), 0
	for i := range entries {
		for _, r := range entries[i].Group {
			p.serial = r.Before
		}
	}
}

// trim forgets what all folds have but the last entries.
func (r *run) trim(keep int) {
	for _, parts := range r.parts {
		for _, p := range parts {
			if before := log.Index(len(p.fold) - keep); p.node.IsRunning() && len(p.fold) > keep {
				if err := r.log.Trim(p.node.ID, p.partition, before); err != nil {
					r.violate("%s: trim: %v", p.node.ID, err)
				}
			}
		}
	}
}

// finish heals everything and compares what everybody has.
func (r *run) finish() {
	r.injector.Heal()
	r.world.Run(30 * time.Second)
	for p, parts := range r.parts {
		r.settle(parts)
		history := r.log.History(cluster.Partition(p))
		found := map[string]bool{}
		var serial uint64
		for i := range history {
			for _, record := range history[i].Group {
				if found[record.StreamID] {
					r.violate("%s is stored twice", record.StreamID)
				}
				if serial++; record.Before != serial {
					r.violate("serial %d of %s is in the place of %d", record.Before, record.StreamID, serial)
				}
				found[record.StreamID] = true
				if index, isAcked := r.acked[p][record.StreamID]; isAcked && index != log.Index(i+1) {
					r.violate("%s was acknowledged as entry %d and is entry %d", record.StreamID, index, i+1)
				}
			}
		}
		for id := range r.acked[p] {
			if !found[id] {
				r.violate("%s was acknowledged and is lost", id)
			}
		}
		r.compare(parts, history)
	}
}

// compare compares what the nodes have with the history.
func (r *run) compare(parts []*part, history []sim.Entry) {
	for _, part := range parts {
		if len(part.fold) < len(history)-5 { // entries go on: the owner renews its lease
			r.violate("%s has %d of %d entries", part.node.ID, len(part.fold), len(history))
		}
		for i := range part.fold {
			if part.fold[i].Term != history[i].Term || part.fold[i].Number != history[i].Number {
				r.violate("%s has another entry %d", part.node.ID, i+1)
				break
			}
		}
	}
}

// settle waits until there is an owner with a lease.
func (r *run) settle(parts []*part) {
	for range 100 {
		if slices.ContainsFunc(parts, (*part).hasLease) {
			return
		}
		r.world.Run(100 * time.Millisecond)
	}
	r.violate("there is no owner at the end")
}

// play carries out a script.
func play(s *script.Run, k kind, c conduct, o sim.LogOptions) *run {
	r := newRun(s.Seed, k, c, o)
	for i := range s.Ops {
		op := &s.Ops[i]
		r.world.Run(op.Wait)
		switch {
		case r.injector.Do(op):
		case op.Verb == "publish":
			r.publish()
		case op.Verb == "trim":
			r.trim(int(op.Number))
		default:
			r.violate("verb %q is not known", op.Verb)
		}
	}
	r.finish()
	return r
}
