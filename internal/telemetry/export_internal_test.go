package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestFailureIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := newComplaint(&Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: NewMetrics(nil)}, "traces")
	for _, err := range []error{nil, errors.New("refused"), errors.New("refused"), nil, nil} {
		c.judge(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "cannot be delivered") || !strings.Contains(lines[1], "delivered again") {
		t.Errorf("got log %q, want one line when it begins and one when it ends", lines)
	}
}
