package known_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// subject is a member of a channel, or without a user the channel.
func subject(channel, user string) log.Subject {
	return log.Subject{Topic: protocol.Topic{App: "app", Name: channel}, User: user}
}

func edge(s log.Subject, at cluster.Peer) *log.Record {
	return &log.Record{Topic: s.Topic, Kind: log.KindEdge, Edge: &log.Edge{
		User: s.User, Is: at.Node != "", Node: at.Node, Life: uint64(at.Incarnation),
	}}
}

func TestTold(t *testing.T) {
	t.Parallel()
	s, gone := subject("c", "u"), cluster.Peer{}
	a, b := cluster.Peer{Node: "a", Incarnation: 1}, cluster.Peer{Node: "b", Incarnation: 2}
	for name, c := range map[string]struct {
		act  func(*known.Told)
		want cluster.Peer
	}{
		"nothing": {func(*known.Told) {}, gone},
		"what is stored": {func(x *known.Told) {
			x.Apply(edge(s, a))
		}, a},
		"what is decided": {func(x *known.Told) {
			x.Decide(s, a)
		}, a},
		"what is decided comes before what is stored": {func(x *known.Told) {
			x.Apply(edge(s, a))
			x.Decide(s, gone)
		}, gone},
		"the last decision counts while the first is stored": {func(x *known.Told) {
			x.Decide(s, a)
			x.Decide(s, gone)
			x.Decide(s, b)
			x.Apply(edge(s, a))
			x.Apply(edge(s, gone))
		}, b},
		"what is stored counts when all decisions are": {func(x *known.Told) {
			x.Decide(s, a)
			x.Apply(edge(s, a))
			x.Apply(edge(s, gone))
		}, gone},
		"what is decided and not stored is forgotten with the term": {func(x *known.Told) {
			x.Apply(edge(s, a))
			x.Decide(s, gone)
			x.EndTerm()
		}, a},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := known.NewTold()
			c.act(&x)
			at, isThere := x.Find(s)
			if at != c.want || isThere != (c.want != gone) {
				t.Errorf("it is at %v (%v), want %v", at, isThere, c.want)
			}
			if got := x.All(); (len(got) == 1) != isThere {
				t.Errorf("all that was told is %v", got)
			}
		})
	}
}

// TestAllThatWasTold is in the order of topics, members before their channel, whether it is stored or decided.
func TestAllThatWasTold(t *testing.T) {
	t.Parallel()
	x, at := known.NewTold(), cluster.Peer{Node: "a", Incarnation: 1}
	x.Apply(edge(subject("b", ""), at))
	x.Apply(edge(subject("b", "u"), at))
	x.Decide(subject("b", "v"), at)
	x.Decide(subject("a", ""), at)
	want := []log.Subject{subject("a", ""), subject("b", "v"), subject("b", "u"), subject("b", "")}
	if d := cmp.Diff(want, x.All()); d != "" {
		t.Error(d)
	}
}
