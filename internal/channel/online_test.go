package channel_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignedIn(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SignIn, n.app.Features.Watchlists = true, true
		counts := func() [2]int {
			connections, users := n.SignedIn(n.app.ID)
			return [2]int{connections, users}
		}
		check := func(when string, want [2]int) {
			t.Helper()
			if diff := cmp.Diff(want, counts()); diff != "" {
				t.Errorf("%s: connections and users (-want +got):\n%s", when, diff)
			}
		}
		a, b, c := n.connect(), n.connect(), n.connect()
		c.mustJoin("presence-x", "u-1")
		check("nobody has signed in", [2]int{0, 0})
		a.mustSignIn("u-1", "u-7") // who is watched and not there
		b.mustSignIn("u-1")
		c.mustSignIn("u-2")
		check("two users, one of them twice", [2]int{3, 2})
		if connections, users := n.SignedIn("78"); connections != 0 || users != 0 {
			t.Errorf("another app has %d connections, %d users", connections, users)
		}
		a.close()
		check("one connection has gone", [2]int{2, 2})
		b.close()
		check("a user has gone", [2]int{1, 1})
		c.close()
		check("all have gone", [2]int{0, 0})
	})
}
