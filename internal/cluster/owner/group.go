package owner

import (
	"errors"
	"iter"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// maxGroup is how many bytes of publications a group has, but one part always.
const maxGroup = 256 << 10

// group is an append that the log has not answered, or that waits for a decider.
type group struct {
	number   uint64 // zero: it waits for a decider
	proposed time.Duration
	parts    []*part
	records  []log.Record
}

// undone are the parts that are not carried out: those in groups, and those behind them.
func (o *Owner) undone() iter.Seq[*part] {
	return func(yield func(*part) bool) {
		for _, g := range o.groups {
			for _, p := range g.parts {
				if !yield(p) {
					return
				}
			}
		}
		for _, p := range o.behind {
			if !yield(p) {
				return
			}
		}
	}
}

// propose makes the next group of all that waits, if none is outstanding.
func (o *Owner) propose(now time.Duration) {
	for len(o.behind) > 0 && o.lease.IsValid(now) && !o.isFailing && o.mayPropose() {
		g := o.cut()
		for _, p := range g.parts {
			g.records = append(g.records, o.assign(p)...)
		}
		if !o.decideBatches(g) {
			o.proposeGroup(now, g)
		}
	}
}

// proposeGroup proposes a group of which all is decided, or carries it out if it stores nothing.
func (o *Owner) proposeGroup(now time.Duration, g *group) {
	if len(g.records) == 0 {
		o.commit(now, g)
		return
	}
	o.append(now, g, g.records)
}

func (g *group) isDeciding() bool { return g.number == 0 }

func (o *Owner) mayPropose() bool {
	const pipelined = 4
	return len(o.groups) == 0 || o.o.Faults.Has(cluster.FaultPipelined) && len(o.groups) < pipelined && len(o.mutating) == 0
}

// cut takes the parts of the next group.
func (o *Owner) cut() *group {
	n, size := 0, 0
	for n < len(o.behind) && (n == 0 || size+o.behind[n].size <= maxGroup) {
		size += o.behind[n].size
		n++
	}
	g := &group{parts: o.behind[:n:n]}
	o.behind = o.behind[n:]
	return g
}

func (o *Owner) append(now time.Duration, g *group, records []log.Record) {
	o.appended++
	g.number, g.proposed, g.records = o.appended, now, records
	o.lease.Proposed(now)
	o.groups = append(o.groups, g)
	o.out.Add(cluster.Append{Partition: o.o.Partition, Term: o.term, Number: g.number, Group: records})
	if o.o.Faults.Has(cluster.FaultDeliveryFirst) {
		o.commit(now, g)
		g.parts = nil
	}
}

// renew proposes an empty entry when the lease needs one and no group will prove it.
func (o *Owner) renew(now time.Duration) {
	if len(o.groups) > 0 || o.appended > 0 && now < o.lease.Next() || o.hasStopped() && len(o.behind) == 0 {
		return
	}
	o.isFailing = false
	o.append(now, &group{}, nil)
}

// Appended tells how an append has ended; err is one of package log.
func (o *Owner) Appended(now time.Duration, term log.Term, number uint64, err error) {
	if o.term == 0 || term != o.term {
		return
	}
	g := o.takeGroup(number)
	switch {
	case g == nil:
		return
	case err == nil:
		o.lease.Proves(now, g.proposed)
		o.commit(now, g)
	case errors.Is(err, log.ErrFenced), errors.Is(err, log.ErrClosed):
		o.behind = append(g.parts, o.behind...)
		o.End()
		return
	case errors.Is(err, log.ErrUncertain):
		o.groups = append([]*group{g}, o.groups...)
		o.giveUp()
		return
	default:
		o.fail(g)
	}
	o.tickContacts(now)
	o.tickTakeover(now)
	o.advance(now)
	o.tickHandOver(now)
}

func (o *Owner) takeGroup(number uint64) *group {
	for i, g := range o.groups {
		if g.number == number {
			o.groups = append(o.groups[:i:i], o.groups[i+1:]...)
			return g
		}
	}
	return nil
}

// commit carries a group out that is stored, or that stores nothing.
func (o *Owner) commit(now time.Duration, g *group) {
	o.release(g)
	o.carryOut(now, g.parts)
}

// fail refuses a group that is not stored and never will be. What comes later gets its serials. What is firm is proposed
// again, when the owner's lease is next proposed.
func (o *Owner) fail(g *group) {
	o.release(g)
	var firm []*part
	for _, p := range g.parts {
		o.takeBack(p)
		switch {
		case p.claiming != nil:
			o.failClaim(p)
		case p.mutation != nil:
			o.failMutation(p.mutation)
		case p.isFirm():
			firm = append(firm, p)
		case p.isKnown():
			o.published(p, p.outcomes)
		default:
			o.answerAll(p, cluster.Unavailable)
		}
	}
	for _, p := range firm {
		o.hold(p)
	}
	o.behind = append(firm, o.behind...)
	o.isFailing = len(firm) > 0
}

// release notes that parts do not wait any more.
func (o *Owner) release(g *group) {
	for _, p := range g.parts {
		o.reserved -= p.reserves
		for i := range p.topics {
			o.interest.Topic(&p.topics[i]).Release()
		}
	}
}

// hold notes that a part waits.
func (o *Owner) hold(p *part) {
	o.reserved += p.reserves
	for i := range p.topics {
		o.interest.Topic(&p.topics[i]).Hold()
	}
}
