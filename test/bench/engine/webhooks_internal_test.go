package engine

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/store/embedded"
)

// What a webhook carries is what the endpoint reads: else a run waits forever, or fails.
func TestWebhooksArriveInOrder(t *testing.T) {
	t.Parallel()
	store, err := embedded.Open(t.Context(), embedded.Options{Path: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out strings.Builder
	if err := RunWebhooks(t.Context(), WebhookOptions{Store: store, Events: 250, Batch: 100}, &out); err != nil {
		t.Fatal(err)
	}
	var a WebhookAnswer
	if err := json.Unmarshal([]byte(out.String()), &a); err != nil || a.Events != 250 || a.Wall <= 0 {
		t.Errorf("%v: %+v", err, a)
	}
}
