package known_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
)

const term = 3

func asking(digest string) *cluster.Claim {
	return &cluster.Claim{Request: 7, Key: cluster.Key{App: "app", Name: "key"}, Digest: digest, Items: 1, TTL: time.Minute}
}

func telling(number, serial uint64) *cluster.Settle {
	return &cluster.Settle{Key: asking("").Key, Number: number, Answer: []cluster.Position{{StreamID: "s", Serial: serial}}}
}

// claims has requests to claims carried out one after the other.
type claims struct{ known.Claims }

// commit has a message decided and stored. It returns how many records that takes.
func (s *claims) commit(c *known.Claiming) int {
	records := s.Decide(c, term)
	s.Commit(0, c)
	return len(records)
}

func (s *claims) ask(digest string) (*cluster.Claimed, int) {
	c, isStored := s.Asking(asking(digest))
	if isStored {
		return c.Answer(term), 0
	}
	n := s.commit(c)
	return c.Answer(term), n
}

func TestAClaimIsMadeOnceAndAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := &claims{known.NewClaims()}
	first, records := s.ask("digest")
	if records != 1 || first.Number == 0 || first.Result != cluster.Done || first.Answer != nil {
		t.Fatalf("the first request stores %d records, and is answered with %+v", records, first)
	}
	if again, n := s.ask("digest"); n != 0 || !cmp.Equal(first, again) {
		t.Errorf("the second request stores %d records, and is answered with %+v", n, again)
	}
	if other, n := s.ask("other"); n != 0 || other.Result != cluster.Conflict {
		t.Errorf("another request with the key stores %d records, and is answered with %+v", n, other)
	}
	if s.Telling(telling(first.Number+1, 1)) != nil {
		t.Error("the answer of another claim changes something")
	}
	settles := [2]*known.Claiming{s.Telling(telling(first.Number, 1)), s.Telling(telling(first.Number, 2))}
	if n := s.commit(settles[0]); n != 1 {
		t.Errorf("the answer stores %d records", n)
	}
	if n := s.commit(settles[1]); n != 0 || s.Telling(telling(first.Number, 2)) != nil {
		t.Errorf("a second answer stores %d records", n)
	}
	first.Answer = []cluster.Position{{StreamID: "s", Serial: 1}}
	if last, _ := s.ask("digest"); !cmp.Equal(first, last) {
		t.Errorf("the request is answered with %+v, want %+v", last, first)
	}
	if s.Forget(2 * time.Minute); s.Size() != 0 {
		t.Errorf("%d bytes are known of a claim whose time is over", s.Size())
	}
	if next, _ := s.ask("digest"); next.Number <= first.Number {
		t.Errorf("the next claim is number %d, after %d", next.Number, first.Number)
	}
}

// TestTwoRequestsInOneGroup get the same claim, and one pays for it. What is undone is as if it had not been.
func TestTwoRequestsInOneGroup(t *testing.T) {
	t.Parallel()
	s := known.NewClaims()
	one, _ := s.Asking(asking("digest"))
	if s.CostOf(one) == 0 {
		t.Error("a claim that is not known takes no room")
	}
	records := s.Decide(one, term)
	two, isStored := s.Asking(asking("digest"))
	if isStored || s.CostOf(two) != 0 {
		t.Errorf("the second is answered before the first is stored (%v), or takes %d bytes", isStored, s.CostOf(two))
	}
	if more := s.Decide(two, term); len(records) != 1 || len(more) != 0 {
		t.Errorf("they store %d and %d records", len(records), len(more))
	}
	if !cmp.Equal(one.Answer(term), two.Answer(term)) {
		t.Errorf("they are answered with %+v and %+v", one.Answer(term), two.Answer(term))
	}
	s.Undecide(one)
	s.Undecide(two)
	three, isStored := s.Asking(asking("other"))
	if records = s.Decide(three, term); isStored || len(records) != 1 {
		t.Errorf("after the group has failed, another request stores %d records (%v)", len(records), isStored)
	}
}
