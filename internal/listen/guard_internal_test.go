package listen

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// exhausted is a listener that has run out of descriptors.
type exhausted struct {
	net.Listener
	err error
}

func (l exhausted) Accept() (net.Conn, error) { return nil, l.err }

func count(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestAcceptFailuresAreCountedAndSaidOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := Guard(exhausted{err: errors.New("too many open files")}, Options{
		Log:    slog.New(slog.NewTextHandler(&log, nil)),
		Failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failed"}),
	})
	for range 5 {
		if _, err := l.Accept(); err == nil {
			t.Fatal("no error")
		}
	}
	if got := count(t, l.o.Failed); got != 5 {
		t.Errorf("counted %v, want 5", got)
	}
	if got := strings.Count(log.String(), "too many open files"); got != 1 {
		t.Errorf("said %d times, want once:\n%s", got, &log)
	}
}

func TestTheEndOfAListenerIsNoFailure(t *testing.T) {
	t.Parallel()
	l := Guard(exhausted{err: net.ErrClosed}, Options{
		Log:    slog.New(slog.DiscardHandler),
		Failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failed"}),
	})
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if got := count(t, l.o.Failed); got != 0 {
		t.Errorf("counted %v, want 0", got)
	}
}
