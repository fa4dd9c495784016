// Package storetest is the conformance suite of stores: what an adapter must do to be the Store
// of app, entity, token, view or webhook, or the Signatures of admin. An adapter's test opens its
// store and calls what it implements of [RunApps], [RunEntities], [RunRevocations], [RunDefinitions],
// [RunWebhooks] and [RunSignatures].
//
// It knows the contracts only. Every goroutine that it starts ends within the test.
package storetest

import (
	"testing"
	"time"
)

// now is when everything happens. Stores keep times to the millisecond.
func now() time.Time { return time.UnixMilli(1_900_000_000_123) }

// Open makes an empty store, closes it with t, and tells how to close and open it again, as a
// restart of the server does; reopen may be called any number of times.
type Open[S any] func(t *testing.T) (store S, reopen func(t *testing.T) S)

// node is a store as a test uses it.
type node[S any] struct {
	store  S
	reopen func(t *testing.T) S
}

// each calls fn before and after a restart: what is stored is there at once, and for good.
func (n *node[S]) each(t *testing.T, fn func(when string)) {
	t.Helper()
	fn("at once")
	n.store = n.reopen(t)
	fn("after a restart")
}

func run[S any](t *testing.T, open Open[S], tests map[string]func(t *testing.T, n *node[S])) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, reopen := open(t)
			test(t, &node[S]{store, reopen})
		})
	}
}
