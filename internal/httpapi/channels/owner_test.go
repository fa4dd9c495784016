package channels_test

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/httpapi/apitest"
)

// TestChannelsThatCannotBeRead asks while the owner of the channels is gone.
func TestChannelsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		if err := n.Bus.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{
			"/apps/77/channels", "/apps/77/channels/a", "/apps/77/channels/cache-a?info=cache", "/apps/77/channels/presence-a/users",
		} {
			w := n.Do("GET", path, "")
			n.Expect(w, 503, " service_unavailable")
			if got := w.Header().Get("Retry-After"); got != "1" {
				t.Errorf("%s: Retry-After %q, want 1", path, got)
			}
		}
	})
}
