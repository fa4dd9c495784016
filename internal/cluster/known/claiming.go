package known

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Claiming is what a message does to the claim of a key: it makes one if there is none, or gives it its answer.
type Claiming struct {
	key    cluster.Key
	asks   *cluster.Claim  // nil for a Settle
	tells  *cluster.Settle // nil for a Claim
	is     *log.Claim      // as it will be; nil: there is none
	record *log.Claim      // to be stored; nil: the message changes nothing
}

// Asking is what a Claim does. It reports whether the claim is stored already, so that the message can be answered now.
func (s *Claims) Asking(m *cluster.Claim) (c *Claiming, isStored bool) {
	is, isStored := s.kept[m.Key]
	return &Claiming{key: m.Key, asks: m, is: is.Claim}, isStored
}

// Telling is what a Settle does; nil: nothing, since no claim waits for that answer.
func (s *Claims) Telling(m *cluster.Settle) *Claiming {
	if is, ok := s.kept[m.Key]; !ok || is.Number != m.Number || len(is.Answer) > 0 {
		return nil
	}
	return &Claiming{key: m.Key, tells: m}
}

// CostOf is about how many bytes a claim takes that is not known.
func (s *Claims) CostOf(c *Claiming) int {
	if _, isDeciding := s.deciding[c.key]; isDeciding {
		return 0
	}
	return costOfClaim(c.key, c.asks.Digest, c.asks.Items)
}

// Decide decides what becomes of a claim in a group, and returns what is to be stored.
func (s *Claims) Decide(c *Claiming, term log.Term) []log.Record {
	is, ok := s.find(c.key)
	switch c.is, c.record = is, nil; {
	case c.tells != nil && ok && is.Number == c.tells.Number && len(is.Answer) == 0:
		settled := *is
		for _, at := range c.tells.Answer {
			settled.Answer = append(settled.Answer, log.Place(at))
		}
		c.record = &settled
	case c.asks != nil && !ok:
		s.made++
		c.record = &log.Claim{
			Key: c.key.Name, Number: uint64(term)<<32 | s.made, // that no claim of the partition has had
			Digest: c.asks.Digest, Items: c.asks.Items, TTL: c.asks.TTL.Milliseconds(),
		}
	default:
		return nil
	}
	c.is = c.record
	s.deciding[c.key] = c.record
	return []log.Record{{Topic: protocol.Topic{App: c.key.App, Name: c.key.Name}, Kind: log.KindClaim, Claim: c.record}}
}

// find is the claim of a key as it is, or will be once a group is committed.
func (s *Claims) find(k cluster.Key) (*log.Claim, bool) {
	if c, ok := s.deciding[k]; ok {
		return c, true
	}
	c, ok := s.kept[k]
	return c.Claim, ok
}

// Commit makes a claim known whose group is committed.
func (s *Claims) Commit(now time.Duration, c *Claiming) {
	if c.record != nil {
		delete(s.deciding, c.key)
		s.Apply(now, &log.Record{Topic: protocol.Topic{App: c.key.App}, Claim: c.record})
	}
}

// Undecide undoes Decide.
func (s *Claims) Undecide(c *Claiming) { delete(s.deciding, c.key) }

// Request is the request that waits for the answer; zero: none.
func (c *Claiming) Request() cluster.RequestID {
	if c.asks == nil {
		return 0
	}
	return c.asks.Request
}

// Answer is the answer to the request, by the claim as it is.
func (c *Claiming) Answer(term log.Term) *cluster.Claimed {
	if c.is.Digest != c.asks.Digest {
		return &cluster.Claimed{Request: c.asks.Request, Term: term, Result: cluster.Conflict}
	}
	m := &cluster.Claimed{Request: c.asks.Request, Term: term, Number: c.is.Number}
	for _, at := range c.is.Answer {
		m.Answer = append(m.Answer, cluster.Position(at))
	}
	return m
}
