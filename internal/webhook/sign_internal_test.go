package webhook

import (
	"testing"
	"time"
)

func TestSignatureOfTheSpecification(t *testing.T) {
	t.Parallel()
	b := &batch{time: 1700000000123}
	e := eventOf(KindChannelOccupied, "app", "prices")
	b.append(e.appendJSON(nil), &settings{size: 1})
	const want = `{"time_ms":1700000000123,"events":[{"name":"channel_occupied","channel":"prices"}]}`
	if got := string(b.body(time.UnixMilli(b.time))); got != want {
		t.Errorf("got body %s, want %s", got, want)
	}
	// W19; pusher-protocol 1 says which secret.
	if got := sign("mill-secret", b.body(time.UnixMilli(b.time))); got != "9de319f2f7430f89a4c3df80cba1fa283b6bab6bb6211dae9a254f82194f28be" {
		t.Errorf("got signature %s", got)
	}
}
