package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// hasRoom reports whether so many bytes more of keys may be kept.
func (o *Owner) hasRoom(now time.Duration, size int) bool {
	if size == 0 {
		return true
	}
	o.ids.Forget(now)
	o.claims.Forget(now)
	return o.ids.Size()+o.claims.Size()+o.reserved+size <= o.o.MaxKeyed
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

// claiming is what a part does to a claim: it makes one if there is none, or gives it its answer.
type claiming struct {
	key    cluster.Key
	is     known.Claim // as it will be
	record *log.Claim
	asks   *cluster.Claim  // a Claim
	tells  *cluster.Settle // a Settle
}

// claim makes a claim, or answers with the one that there is.
func (o *Owner) claim(now time.Duration, from cluster.Peer, m *cluster.Claim) {
	o.claims.Forget(now)
	p := &part{from: from, claiming: &claiming{key: m.Key, asks: m}, size: m.Size()}
	if c, ok := o.claims.Kept(m.Key); ok {
		p.claiming.is = c
		o.answerClaim(p)
		return
	}
	if !o.claims.IsDeciding(m.Key) {
		p.reserves = known.CostOfClaim(m.Key, m.Digest, m.Items)
	}
	if !o.hasRoom(now, p.reserves) {
		o.refuseClaim(p, cluster.Busy)
		return
	}
	o.add(now, p)
}

// settleClaim stores the answer of a claim that has none.
func (o *Owner) settleClaim(now time.Duration, from cluster.Peer, m *cluster.Settle) {
	if c, ok := o.claims.Kept(m.Key); ok && c.Number == m.Number && len(c.Answer) == 0 {
		o.add(now, &part{from: from, claiming: &claiming{key: m.Key, tells: m}, size: m.Size()})
	}
}

// assignClaim decides what a part does to a claim, and returns what is to be stored.
func (o *Owner) assignClaim(c *claiming) []log.Record {
	is, ok := o.claims.Find(c.key)
	switch {
	case c.tells != nil && ok && is.Number == c.tells.Number && len(is.Answer) == 0:
		settled := *is.Claim
		for _, at := range c.tells.Answer {
			settled.Answer = append(settled.Answer, log.Place(at))
		}
		c.record = &settled
	case c.asks != nil && !ok:
		c.record = &log.Claim{
			Key: c.key.Name, Number: o.claims.Number(o.term), Digest: c.asks.Digest, Items: c.asks.Items, TTL: c.asks.TTL.Milliseconds(),
		}
	default:
		c.is = is
		return nil
	}
	c.is = o.claims.Decide(c.key, c.record)
	if o.o.Faults.Has(cluster.FaultClaimsForgotten) {
		return nil
	}
	return []log.Record{{Topic: protocol.Topic{App: c.key.App, Name: c.key.Name}, Kind: log.KindClaim, Claim: c.record}}
}

// carryOutClaim makes a claim known that is stored, and answers.
func (o *Owner) carryOutClaim(now time.Duration, p *part) {
	if c := p.claiming; c.record != nil {
		o.claims.Undecide(c.key)
		o.claims.Apply(now, &log.Record{Topic: protocol.Topic{App: c.key.App}, Claim: c.record})
	}
	if p.claiming.asks != nil {
		o.answerClaim(p)
	}
}

// failClaim undoes what a part was to do to a claim.
func (o *Owner) failClaim(p *part) {
	o.claims.Undecide(p.claiming.key)
	if p.claiming.asks != nil {
		o.refuseClaim(p, cluster.Unavailable)
	}
}

func (o *Owner) answerClaim(p *part) {
	c := p.claiming
	m := &cluster.Claimed{Request: c.asks.Request, Term: o.term, Number: c.is.Number}
	if c.is.Digest != c.asks.Digest {
		m = &cluster.Claimed{Request: c.asks.Request, Term: o.term, Result: cluster.Conflict}
	} else {
		for _, at := range c.is.Answer {
			m.Answer = append(m.Answer, cluster.Position(at))
		}
	}
	o.reply(p.from, m)
}

func (o *Owner) refuseClaim(p *part, r cluster.Result) {
	o.reply(p.from, &cluster.Claimed{Request: p.claiming.asks.Request, Term: o.term, Result: r})
}
