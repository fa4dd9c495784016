package hub

import (
	"testing"
	"unsafe"
)

// TestSubscriptionSize: a connection may have thousands.
func TestSubscriptionSize(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(Subscription{}); n > 72 {
		t.Errorf("a subscription takes %d bytes, want at most 72", n)
	}
}
