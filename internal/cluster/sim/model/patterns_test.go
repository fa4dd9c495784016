package model_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/protocol"
)

// TestPatternsAreJudged by what a node with a pattern must get, and must not.
func TestPatternsAreJudged(t *testing.T) {
	t.Parallel()
	a1 := protocol.Topic{App: "app", Name: "a-1"}
	const second = time.Second
	for name, test := range map[string]struct {
		happens func(p *model.Patterns)
		want    int
	}{
		"what was acknowledged has come": {happens: func(p *model.Patterns) {
			p.ObserveReceived(3*second, "n", "a-*", a1, "one")
		}},
		"it has not come":      {happens: func(*model.Patterns) {}, want: 1},
		"a loss was told":      {happens: func(p *model.Patterns) { p.ObserveLost(4*second, "n", "a-*") }},
		"the node has left":    {happens: func(p *model.Patterns) { p.ObserveLeft("n", "a-*") }},
		"another node has it":  {happens: func(p *model.Patterns) { p.ObserveReceived(3*second, "m", "a-*", a1, "one") }, want: 2},
		"it was never asked":   {happens: func(p *model.Patterns) { p.ObserveReceived(3*second, "n", "a-*", a1, "no") }, want: 2},
		"it comes twice":       {happens: receive("one", "one"), want: 1},
		"it comes in order":    {happens: receive("one", "two")},
		"it comes out of turn": {happens: receive("two", "one"), want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := model.NewPatterns(model.NewNodes())
			p.ObserveAsk("n", "a-*")
			p.ObserveJoined(second, "n", "a-*")
			p.ObserveAttempt(2*second, a1, "one")
			p.ObserveDone(2*second+1, "a", "one")
			test.happens(p)
			p.CheckQuiet(time.Minute)
			if got := p.Count(); got != test.want {
				t.Errorf("%d violations, want %d: %q", got, test.want, p.Violations())
			}
		})
	}
}

// receive has a node receive events of which the second was published after the first was acknowledged.
func receive(ids ...string) func(p *model.Patterns) {
	return func(p *model.Patterns) {
		t := protocol.Topic{App: "app", Name: "a-1"}
		p.ObserveAttempt(3*time.Second, t, "two")
		for _, id := range ids {
			p.ObserveReceived(4*time.Second, "n", "a-*", t, id)
		}
	}
}
