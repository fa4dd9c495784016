package httpapi_test

import (
	"context"
	"testing"
)

// TestChannelsThatCannotBeRead asks while the owner of the channels is gone.
func TestChannelsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		if err := n.bus.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{
			"/apps/77/channels", "/apps/77/channels/a", "/apps/77/channels/cache-a?info=cache", "/apps/77/channels/presence-a/users",
		} {
			n.expect(n.do("GET", path, ""), 503, " service_unavailable")
		}
	})
}
