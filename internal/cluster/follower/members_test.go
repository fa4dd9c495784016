package follower_test

import (
	"testing"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// TestAGapMayHaveHadMembers: when the publications are there that were in a gap, the node asks who is there.
func TestAGapMayHaveHadMembers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	at := cluster.Position{StreamID: "x", Serial: 3}
	id := d.Join(0, cluster.Join{
		Topic: topic("presence-x"), Part: cluster.Part{Version: 1, Subscriptions: 1}, Member: &protocol.Member{UserID: "u"},
	})
	d.Receive(0, "a", &cluster.Joined{Request: id, Term: 1, Topic: *topic("presence-x"), Position: at})
	d.out.Take()
	d.Gap(0, "a", []protocol.Topic{*topic("presence-x")}, false)
	d.says("a: replay presence-x after 3")
	d.Receive(0, "a", &cluster.Replayed{Request: id + 1, Term: 1, Topic: *topic("presence-x"), After: at, Position: at, IsLast: true})
	d.says("a: *cluster.AskMembers")
}
