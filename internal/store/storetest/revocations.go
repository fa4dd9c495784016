package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/token"
)

type revocationNode = node[token.RevocationStore]

// RunRevocations checks a token.RevocationStore. Its clock, if it has one, must not be after
// the year 2030, where these tests happen.
func RunRevocations(t *testing.T, open Open[token.RevocationStore]) {
	run(t, open, map[string]func(t *testing.T, n *revocationNode){
		"an empty store has no revocations":                      func(t *testing.T, n *revocationNode) { expectRevocations(t, n, now()) },
		"a revocation comes back until it expires":               keepsRevocations,
		"a token revoked twice stays so until the later end":     keepsTheLaterEnd,
		"an error of a callback ends the loading and comes back": stopsLoadingRevocations,
	})
}

func revoke(t *testing.T, n *revocationNode, app, id string, ttl time.Duration) {
	t.Helper()
	if err := n.store.SaveRevocation(t.Context(), app, id, now().Add(ttl)); err != nil {
		t.Fatalf("SaveRevocation: %v", err)
	}
}

// expectRevocations wants exactly these at a time, written as "app id ttl".
func expectRevocations(t *testing.T, n *revocationNode, at time.Time, want ...string) {
	t.Helper()
	n.each(t, func(when string) {
		var got []string
		err := n.store.LoadRevocations(t.Context(), at, func(app, id string, until time.Time) error {
			got = append(got, fmt.Sprintf("%s %s %s", app, id, until.Sub(now())))
			return nil
		})
		if err != nil {
			t.Fatalf("%s: LoadRevocations: %v", when, err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	})
}

func keepsRevocations(t *testing.T, n *revocationNode) {
	revoke(t, n, "app", "t-1", time.Minute)
	revoke(t, n, "app", "t-2", time.Hour)
	revoke(t, n, "other", "t-1", time.Hour)
	expectRevocations(t, n, now(), "app t-1 1m0s", "app t-2 1h0m0s", "other t-1 1h0m0s")
	expectRevocations(t, n, now().Add(time.Minute-time.Millisecond), "app t-1 1m0s", "app t-2 1h0m0s", "other t-1 1h0m0s")
	expectRevocations(t, n, now().Add(time.Minute), "app t-2 1h0m0s", "other t-1 1h0m0s")
	expectRevocations(t, n, now().Add(time.Hour))
}

func keepsTheLaterEnd(t *testing.T, n *revocationNode) {
	revoke(t, n, "app", "t-1", time.Hour)
	revoke(t, n, "app", "t-1", time.Minute)
	revoke(t, n, "app", "t-2", time.Minute)
	revoke(t, n, "app", "t-2", time.Hour)
	expectRevocations(t, n, now(), "app t-1 1h0m0s", "app t-2 1h0m0s")
}

func stopsLoadingRevocations(t *testing.T, n *revocationNode) {
	revoke(t, n, "app", "t-1", time.Hour)
	revoke(t, n, "app", "t-2", time.Hour)
	enough, calls := errors.New("enough"), 0
	err := n.store.LoadRevocations(t.Context(), now(), func(string, string, time.Time) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("got error %v after %d calls, want that of the first call", err, calls)
	}
	expectRevocations(t, n, now(), "app t-1 1h0m0s", "app t-2 1h0m0s")
}
