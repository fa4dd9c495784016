package cli

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestDurationsInLogsHaveTheirUnit(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                  "0s",
		7:                                  "7ns",
		1234567 * time.Nanosecond:          "1.23ms",
		2 * time.Second:                    "2s",
		1234567890 * time.Nanosecond:       "1.23s",
		-1500 * time.Millisecond:           "-1.5s",
		10*time.Minute + 1234567:           "10m0s",
		26*time.Hour + 30*time.Millisecond: "26h0m0.03s",
	} {
		for _, isText := range []bool{false, true} {
			var b strings.Builder
			newLogger(&b, isText, slog.LevelInfo).Info("said", "retry_in", d, slog.Group("more", "delay", d))
			form := map[bool]string{false: `"retry_in":"` + want + `","more":{"delay":"` + want + `"}`, true: "retry_in=" + want + " more.delay=" + want}[isText]
			if !strings.Contains(b.String(), form) {
				t.Errorf("%d: %s, want %s", d, b.String(), form)
			}
		}
	}
}
