package follower_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/follower"
	"github.com/millrace/millrace/internal/protocol"
)

// TestARefusalCountsForOneAsk: a batch that two owners were asked for may be applied until both have refused it. What is
// applied counts, even if the former owner says so.
func TestARefusalCountsForOneAsk(t *testing.T) {
	t.Parallel()
	refused := func(r cluster.Result) *cluster.Mutated { return &cluster.Mutated{Request: 1, Result: r} }
	for name, test := range map[string]struct {
		first, second *cluster.Mutated
		want          []*cluster.Mutated
	}{
		"both refuse":                   {refused(cluster.Unavailable), refused(cluster.Busy), []*cluster.Mutated{refused(cluster.Busy)}},
		"the former owner refuses":      {refused(cluster.Unavailable), nil, nil},
		"only the latter one applies":   {refused(cluster.Unavailable), refused(cluster.Done), []*cluster.Mutated{refused(cluster.Done)}},
		"it may have happened":          {refused(cluster.Misplaced), refused(cluster.Done), []*cluster.Mutated{refused(cluster.Misplaced)}},
		"the former one has applied it": {refused(cluster.Done), nil, []*cluster.Mutated{refused(cluster.Done)}},
	} {
		out := new(cluster.Output)
		f := follower.New(out, follower.Options{IsLogged: func(*protocol.Topic) bool { return false }})
		f.Owned(cluster.Ownership{Node: "a", Term: 1})
		f.Mutate(0, cluster.Mutate{App: "app", ID: "batch"})
		f.Owned(cluster.Ownership{Node: "b", Term: 2})
		f.Receive(0, "a", test.first)
		if test.second != nil {
			f.Receive(0, "b", test.second)
		}
		var got []*cluster.Mutated
		for _, e := range out.Take() {
			if a, isAnswer := e.(cluster.Answer); isAnswer {
				got = append(got, a.Message.(*cluster.Mutated))
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
