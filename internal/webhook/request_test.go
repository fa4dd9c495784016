package webhook_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

func TestSignatureOfTheSpecification(t *testing.T) {
	t.Parallel()
	const at = 1700000000123
	e := webhook.Event{Kind: webhook.KindChannelOccupied, App: "app", Channel: "prices"}
	body := webhook.Body(e.AppendJSON(nil), at, time.UnixMilli(at))
	const want = `{"time_ms":1700000000123,"events":[{"name":"channel_occupied","channel":"prices"}]}`
	if got := string(body); got != want {
		t.Errorf("got body %s, want %s", got, want)
	}
	// W19; pusher 1 says which secret.
	if got := webhook.Sign("mill-secret", body); got != "9de319f2f7430f89a4c3df80cba1fa283b6bab6bb6211dae9a254f82194f28be" {
		t.Errorf("got signature %s", got)
	}
}
