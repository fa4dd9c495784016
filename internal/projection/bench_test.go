package projection_test

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/projection"
)

// silent publishes to nobody.
type silent struct{}

func (silent) Publish(context.Context, *app.App, []channel.Event) error { return nil }

func projected(tb testing.TB, rules ...projection.Rule) projection.Publisher {
	tb.Helper()
	compiled, err := projection.Compile(rules)
	if err != nil {
		tb.Fatal(err)
	}
	of := func(string) *projection.Rules { return compiled }
	return projection.New(silent{}, of, nil, projection.Options{})
}

// BenchmarkPublish is what standing before the channel engine costs a publish that no rule
// concerns.
func BenchmarkPublish(b *testing.B) {
	events := []channel.Event{event("prices", "e", `{"n":1}`)}
	a := &app.App{ID: "77"}
	for name, c := range map[string]projection.Publisher{
		"rules=0": projected(b),
		"rules=1": projected(b, projection.Rule{Channels: "auction-*", Entity: "A", Key: "$1"}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Publish(b.Context(), a, events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPublishAllocs(t *testing.T) {
	events := []channel.Event{event("prices", "e", `{"n":1}`)}
	a, c := &app.App{ID: "77"}, projected(t)
	if n := testing.AllocsPerRun(100, func() { _ = c.Publish(t.Context(), a, events) }); n > 0 {
		t.Errorf("%v allocations for an app without rules", n)
	}
}
