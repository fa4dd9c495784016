//go:build !slowbus

package bustest

import (
	"testing"

	"github.com/millrace/millrace/internal/bus"
)

// Wrap is b, unless the tests are built with the tag slowbus: then b answers after a while, and a
// caller that holds a lock over a call fails the test.
func Wrap(_ testing.TB, b bus.Bus) bus.Bus { return b }

// Settle waits for what a bus of Wrap has still to do. It is called in a bubble of synctest.
func Settle() { /* a bus that is not slow has done it */ }

// SkipIfSlow skips a test that measures time to the millisecond if buses of Wrap are slow.
func SkipIfSlow(testing.TB) { /* they are not */ }
