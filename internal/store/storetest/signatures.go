package storetest

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/admin"
)

type signatureNode = node[admin.Signatures]

// RunSignatures checks an admin.Signatures that survives restarts.
func RunSignatures(t *testing.T, open Open[admin.Signatures]) {
	run(t, open, map[string]func(t *testing.T, n *signatureNode){
		"a signature is claimed once, also after a restart": func(t *testing.T, n *signatureNode) {
			claim(t, n, "a", time.Hour, true)
			n.each(t, func(string) { claim(t, n, "a", time.Hour, false) })
			claim(t, n, "b", time.Hour, true)
			claim(t, n, "A", time.Hour, true)
		},
		"one that has expired can be claimed, and is for good": func(t *testing.T, n *signatureNode) {
			claim(t, n, "a", 0, true)
			claim(t, n, "b", 0, true)
			n.store = n.reopen(t)
			claim(t, n, "a", time.Hour, true)
			claim(t, n, "a", time.Hour, false)
			claim(t, n, "b", time.Hour, true)
		},
		"what expires takes nothing with it": func(t *testing.T, n *signatureNode) {
			for i := range 300 {
				claim(t, n, "old-"+strconv.Itoa(i), 0, true)
				claim(t, n, "new-"+strconv.Itoa(i), time.Hour, true)
			}
			for i := range 300 {
				claim(t, n, "new-"+strconv.Itoa(i), time.Hour, false)
			}
		},
		"a context that has ended claims nothing": func(t *testing.T, n *signatureNode) {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if isFirst, err := n.store.ClaimSignature(ended, "a", time.Hour); err == nil || isFirst {
				t.Errorf("got %t, %v; want an error", isFirst, err)
			}
			claim(t, n, "a", time.Hour, true)
		},
		"of many who claim one at the same time one is the first": racesForSignatures,
	})
}

func claim(t *testing.T, n *signatureNode, signature string, ttl time.Duration, want bool) {
	t.Helper()
	if got, err := n.store.ClaimSignature(t.Context(), signature, ttl); err != nil || got != want {
		t.Errorf("ClaimSignature %s: got %t, %v; want %t", signature, got, err, want)
	}
}

func racesForSignatures(t *testing.T, n *signatureNode) {
	claim(t, n, "0", 0, true) // has expired, which is no reason for two to be the first
	for round := range 20 {
		var firsts atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				isFirst, err := n.store.ClaimSignature(t.Context(), strconv.Itoa(round), time.Hour)
				if err != nil {
					t.Errorf("ClaimSignature: %v", err)
				}
				if isFirst {
					firsts.Add(1)
				}
			})
		}
		wg.Wait()
		if got := firsts.Load(); got != 1 {
			t.Fatalf("round %d: %d were the first, want 1", round, got)
		}
	}
}
