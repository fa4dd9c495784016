package known

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// Claims are the requests with keys of a partition. A claim is a record, not a lock: whichever node finds one without an answer
// carries the request out, under the same ids.
type Claims struct {
	kept     map[cluster.Key]claim
	deciding map[cluster.Key]*log.Claim // in groups that are outstanding
	order    expiries[cluster.Key]
	size     int // bytes
	made     uint64
}

// claim is one request.
type claim struct {
	*log.Claim
	ends time.Duration
}

// NewClaims knows none.
func NewClaims() Claims {
	return Claims{kept: make(map[cluster.Key]claim), deciding: make(map[cluster.Key]*log.Claim)}
}

// costOfClaim is about how many bytes a claim takes, with the answer that it will have.
func costOfClaim(k cluster.Key, digest string, items int) int {
	const fixed, perItem = 256, 64
	return fixed + k.Size() + len(digest) + perItem*items
}

func (s *Claims) costOf(k cluster.Key) int {
	if c, ok := s.kept[k]; ok {
		return costOfClaim(k, c.Digest, c.Items)
	}
	return 0
}

// Apply takes a claim that is stored. Its time begins with its first record.
func (s *Claims) Apply(now time.Duration, r *log.Record) {
	k := cluster.Key{App: r.Topic.App, Name: r.Claim.Key}
	s.Forget(now)
	was, isKnown := s.kept[k]
	if isKnown && was.Number == r.Claim.Number && len(was.Answer) > 0 {
		return
	}
	s.size -= s.costOf(k)
	c := claim{r.Claim, now + time.Duration(r.Claim.TTL)*time.Millisecond}
	if isKnown && was.Number == c.Number {
		c.ends = was.ends
	} else {
		s.order.add(k, c.ends)
	}
	s.kept[k] = c
	s.size += s.costOf(k)
}

// Forget forgets claims whose time is over.
func (s *Claims) Forget(now time.Duration) {
	for e, ok := s.order.next(now); ok; e, ok = s.order.next(now) {
		if c, isKept := s.kept[e.key]; isKept && c.ends == e.at {
			s.size -= s.costOf(e.key)
			delete(s.kept, e.key)
		}
	}
}

// EndTerm forgets what is true only within a term.
func (s *Claims) EndTerm() {
	clear(s.deciding)
	s.made = 0
}

// Size is how many bytes the claims take.
func (s *Claims) Size() int { return s.size }
