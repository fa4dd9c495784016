package channel

import (
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// TestOnlyDueNoticesHaveTimers: an idle or ended channel owns none.
func TestOnlyDueNoticesHaveTimers(t *testing.T) {
	t.Parallel()
	var codecs [protocol.NumVariants]protocol.Codec
	h := hub.New(hub.Options{Codecs: codecs})
	e := New(h, bus.NewLocal(h, nil), Options{})
	a := &app.App{ID: "77", Features: app.Features{SubscriptionCount: true}}
	var conns [3]Connection
	for i := range conns {
		h.Attach(&conns[i].Subscriber, nil, protocol.NewSocketID(), protocol.VariantPusher)
		conns[i].Init(a, silent{})
		if err := e.Subscribe(t.Context(), &conns[i], "prices", protocol.Member{}, nil); err != nil {
			t.Fatal(err)
		}
		want := min(i, 1) // the first tells at once, the second arms
		if got := len(e.notices.timers); got != want || e.notices.pending != want {
			t.Errorf("after %d: got %d timers and %d pending, want %d", i, got, e.notices.pending, want)
		}
	}
	for i := range conns {
		if err := e.Leave(&conns[i]); err != nil {
			t.Error(err)
		}
	}
	if got := len(e.notices.timers); got != 0 || e.notices.pending != 0 {
		t.Errorf("after the last left: got %d timers and %d pending", got, e.notices.pending)
	}
}

type silent struct{}

func (silent) Reply(*protocol.Message)                { /* thrown away */ }
func (silent) ReplyPublication(*protocol.Publication) { /* thrown away */ }
func (silent) Terminate()                             { /* nobody is signed in */ }
