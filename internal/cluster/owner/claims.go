package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
)

// hasRoom reports whether so many bytes more of keys may be kept.
func (o *Owner) hasRoom(now time.Duration, size int) bool {
	if size == 0 {
		return true
	}
	o.ids.Forget(now)
	o.claims.Forget(now)
	o.batches.Forget(now)
	return o.ids.Size()+o.claims.Size()+o.batches.Size()+o.reserved+size <= o.o.MaxKeyed
}

// costOfIDs is how many bytes the ids of a publish with a key take that are not known yet.
func (o *Owner) costOfIDs(m *cluster.Publish) (n int) {
	for i := range m.Items {
		if it := &m.Items[i]; it.KnownFor > 0 {
			if _, _, isKnown := o.ids.Find(known.IDOf(it)); !isKnown {
				n += known.IDOf(it).Cost()
			}
		}
	}
	return n
}

// claim makes a claim, or answers with the one that there is.
func (o *Owner) claim(now time.Duration, from cluster.Peer, m *cluster.Claim) {
	o.claims.Forget(now)
	c, isStored := o.claims.Asking(m)
	if isStored {
		o.reply(from, c.Answer(o.term))
		return
	}
	p := &part{from: from, claiming: c, size: m.Size(), reserves: o.claims.CostOf(c)}
	if !o.hasRoom(now, p.reserves) {
		o.refuseClaim(p, cluster.Busy)
		return
	}
	o.add(now, p)
}

// settleClaim stores the answer of a claim that has none.
func (o *Owner) settleClaim(now time.Duration, from cluster.Peer, m *cluster.Settle) {
	if c := o.claims.Telling(m); c != nil {
		o.add(now, &part{from: from, claiming: c, size: m.Size()})
	}
}

// assignClaim decides what a part does to a claim, and returns what is to be stored.
func (o *Owner) assignClaim(c *known.Claiming) []log.Record {
	records := o.claims.Decide(c, o.term)
	if o.o.Faults.Has(cluster.FaultClaimsForgotten) {
		return nil
	}
	return records
}

// carryOutClaim makes a claim known that is stored, and answers.
func (o *Owner) carryOutClaim(now time.Duration, p *part) {
	o.claims.Commit(now, p.claiming)
	if p.claiming.Request() != 0 {
		o.reply(p.from, p.claiming.Answer(o.term))
	}
}

// failClaim undoes what a part was to do to a claim.
func (o *Owner) failClaim(p *part) {
	o.claims.Undecide(p.claiming)
	if p.claiming.Request() != 0 {
		o.refuseClaim(p, cluster.Unavailable)
	}
}

func (o *Owner) refuseClaim(p *part, r cluster.Result) {
	o.reply(p.from, &cluster.Claimed{Request: p.claiming.Request(), Term: o.term, Result: r})
}
