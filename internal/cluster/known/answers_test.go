package known_test

import (
	"testing"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
)

// TestAnswersAreKeptUpToABound: what was forgotten is not taken for a request that has never come.
func TestAnswersAreKeptUpToABound(t *testing.T) {
	t.Parallel()
	const all, kept = 3000, 1024
	var a known.Answers
	for id := cluster.RequestID(1); id <= all; id++ {
		if a.Ask(id) {
			t.Fatalf("%d has come before", id)
		}
		a.Keep(&cluster.Published{Request: id})
	}
	for id := cluster.RequestID(1); id <= all; id++ {
		m, isKept := a.Find(id), id > all-kept
		if !a.Ask(id) || a.IsForgotten(id) == isKept || (m != nil) != isKept {
			t.Fatalf("the answer to %d is %v, forgotten: %v", id, m, a.IsForgotten(id))
		}
		if m != nil && m.Request != id {
			t.Errorf("the answer to %d is that to %d", id, m.Request)
		}
	}
	if a.Ask(all+1) || a.IsForgotten(all+1) {
		t.Error("a request has come before, or was forgotten, that has never come")
	}
}
