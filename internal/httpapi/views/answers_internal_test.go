package views

import (
	"context"
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/limit"
)

// Addresses that hold nothing are forgotten, or each that ever read would be kept.
func TestSharesOfAddressesAreForgotten(t *testing.T) {
	t.Parallel()
	a := newAnswers(limit.NewBudget(100))
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if !a.acquire(ended, one, 50) || a.acquire(ended, one, 1) || !a.acquire(ended, other, 40) || a.acquire(ended, other, 20) {
		t.Error("the shares are not those of half of the whole")
	}
	a.release(one, 50)
	a.release(other, 40)
	if len(a.readers) != 0 || a.all.Used() != 0 {
		t.Errorf("%d addresses are kept, and %d bytes", len(a.readers), a.all.Used())
	}
}
