package pusher_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/testkit"
)

// TestAClientIsAnsweredWhenTheOwnerIsOutOfReach lets clients join until they are in, while the owner
// of the channel fails now and then. In the end the channel has each of them once.
func TestAClientIsAnsweredWhenTheOwnerIsOutOfReach(t *testing.T) {
	t.Parallel()
	const clients, attempts = 20, 100
	var flaky *bustest.Flaky
	s := newStack(t, nil, func(b bus.Bus) bus.Bus {
		flaky = &bustest.Flaky{Bus: b}
		return flaky
	})
	refused := 0
	for i := range clients {
		p := s.dial(t)
		id, err := p.Established(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		user := fmt.Sprintf(`{"user_id":"u-%d"}`, i)
		subscribe := fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":%q,"channel_data":%q}}`,
			testkit.ChannelAuth(id, "presence-x", user), user)
		for n := 0; ; n++ {
			if err := p.SendText(subscribe); err != nil {
				t.Fatal(err)
			}
			f, err := p.Next(waitLimit)
			if err != nil || n == attempts {
				t.Fatalf("got %q, %v after %d attempts", f.Payload, err, n)
			}
			if strings.Contains(string(f.Payload), "subscription_succeeded") {
				break
			}
			if refused++; !strings.Contains(string(f.Payload), "cannot be reached right now; subscribe again later") {
				t.Fatalf("got %q, want success or an error that says what to do", f.Payload)
			}
		}
	}
	if refused == 0 {
		t.Error("the owner was never out of reach")
	}
	flaky.Heal()
	p := s.dial(t)
	id, err := p.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SendText(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":%q,"channel_data":%q}}`,
		testkit.ChannelAuth(id, "presence-x", `{"user_id":"last"}`), `{"user_id":"last"}`)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`\"count\":%d,`, clients+1)
	if f, err := p.Next(waitLimit); err != nil || !strings.Contains(string(f.Payload), want) {
		t.Errorf("got %q, %v; want %s", f.Payload, err, want)
	}
}
