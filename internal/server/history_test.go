package server_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

func TestStatsSayWhatIsKept(t *testing.T) {
	t.Parallel()
	type kept struct {
		Channels, Messages, Bytes int
		MaxBytes                  int   `json:"max_bytes"`
		Oldest                    int64 `json:"oldest_ms"`
		Newest                    int64 `json:"newest_ms"`
	}
	node := testkit.Start(t, "store.driver=embedded", "store.path="+filepath.Join(t.TempDir(), "store"), "apps.0.history=true", "history.max_bytes=3GB")
	for _, channel := range []string{"a", "a", "b"} {
		if err := node.Publish(t.Context(), channel, "e", "x"); err != nil {
			t.Fatal(err)
		}
	}
	var answer struct {
		Totals struct{ History kept }
		Apps   []struct{ History kept }
	}
	if err := json.Unmarshal([]byte(get(t, metricsURL(node, "/stats"))), &answer); err != nil {
		t.Fatal(err)
	}
	total, own := answer.Totals.History, answer.Apps[0].History
	if own.Channels != 2 || own.Messages != 3 || own.Bytes < 100 || own.Oldest == 0 || own.Newest < own.Oldest {
		t.Errorf("of the app %+v are kept", own)
	}
	if own.MaxBytes = total.MaxBytes; total != own || total.MaxBytes != 3<<30 {
		t.Errorf("in all %+v are kept, of the only app %+v", total, own)
	}
}
