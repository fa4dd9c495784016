package channel

import (
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// lastWord is an observer that looks whether a channel of the name could have been made anew
// already, and have told something, when it is told the end of the old one.
type lastWord struct {
	Observer
	e     *Engine
	early []string
}

func (o *lastWord) Occupied(string, string) {}

func (o *lastWord) Vacated(appID, name string) { o.look(appID, name, "vacated") }

func (o *lastWord) SubscriptionCount(appID, name string, _ int) { o.look(appID, name, "count") }

func (o *lastWord) look(appID, name, what string) {
	if o.e.table.find(protocol.Topic{App: appID, Name: name}) == nil {
		o.early = append(o.early, what)
	}
}

// TestTheEndOfAChannelIsToldBeforeAnotherCanBegin: otherwise its first subscriber could be told
// before the last of the one before has gone, and would be taken for gone with it.
func TestTheEndOfAChannelIsToldBeforeAnotherCanBegin(t *testing.T) {
	t.Parallel()
	var codecs [protocol.NumVariants]protocol.Codec
	h := hub.New(hub.Options{Codecs: codecs})
	o := &lastWord{}
	o.e = New(h, bus.NewLocal(h, nil), Options{Observer: o})
	var c Connection
	h.Attach(&c.Subscriber, nil, protocol.NewSocketID(), protocol.VariantPusher)
	c.Init(&app.App{ID: "77"}, silent{})
	if err := o.e.Subscribe(t.Context(), &c, "prices", protocol.Member{}, nil); err != nil {
		t.Fatal(err)
	}
	o.e.Unsubscribe(&c, "prices")
	if len(o.early) > 0 {
		t.Errorf("told after the channel was forgotten: %v", o.early)
	}
	if o.e.table.find(protocol.Topic{App: "77", Name: "prices"}) != nil {
		t.Error("the channel is not forgotten")
	}
}
