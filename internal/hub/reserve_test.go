package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/hub"
)

// reservation is one publisher that called Reserve.
type reservation struct {
	cancel context.CancelFunc
	done   chan error
}

func reserve(t *testing.T, h *hub.Hub, n int) *reservation {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reservation{cancel, make(chan error, 1)}
	go func() { r.done <- h.Reserve(ctx, n) }()
	synctest.Wait()
	return r
}

// expect checks what has become of r: waiting, admitted or refused.
func (r *reservation) expect(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	got := "waiting"
	select {
	case err := <-r.done:
		switch {
		case err == nil:
			got = "admitted"
		case errors.Is(err, hub.ErrBackpressure):
			got = "refused"
		default:
			got = err.Error()
		}
		r.done <- err
	default:
	}
	if got != want {
		t.Errorf("publisher is %s, want %s", got, want)
	}
}

// full is a hub that does not run yet, whose inbox has room for two publications and holds
// one.
func full(t *testing.T) (h *hub.Hub, size int) {
	t.Helper()
	size = pub("a", 1).Size()
	h = hub.New(hub.Options{Codecs: codecs(), Shards: 1, MaxInboxBytes: 2 * (size + hub.HeldBytes)})
	attach(t, h).open(t, "a")
	receive(h, "a", 1, 1)
	return h, size
}

func TestReserve(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, h *hub.Hub, size int){
		"what fits is let in at once": func(t *testing.T, h *hub.Hub, size int) {
			reserve(t, h, size).expect(t, "admitted")
		},
		"what does not fit waits until the flusher has run": func(t *testing.T, h *hub.Hub, size int) {
			r := reserve(t, h, size+1)
			r.expect(t, "waiting")
			run(t, h)
			r.expect(t, "admitted")
		},
		"what does not fit is refused when its context ends": func(t *testing.T, h *hub.Hub, size int) {
			r := reserve(t, h, size+1)
			r.cancel()
			r.expect(t, "refused")
		},
		"what is larger than all room waits for an empty inbox": func(t *testing.T, h *hub.Hub, size int) {
			r := reserve(t, h, 100*size)
			r.expect(t, "waiting")
			run(t, h)
			r.expect(t, "admitted")
		},
		"nobody overtakes who waits": func(t *testing.T, h *hub.Hub, size int) {
			first, second := reserve(t, h, size+1), reserve(t, h, 1)
			second.expect(t, "waiting")
			run(t, h)
			first.expect(t, "admitted")
			second.expect(t, "admitted")
		},
		"who gives up lets the next one in": func(t *testing.T, h *hub.Hub, size int) {
			first, second := reserve(t, h, size+1), reserve(t, h, 1)
			first.cancel()
			first.expect(t, "refused")
			second.expect(t, "admitted")
			reserve(t, h, 1).expect(t, "admitted")
		},
		"publications without a reservation count too": func(t *testing.T, h *hub.Hub, size int) {
			receive(h, "a", 2, 2)
			reserve(t, h, 1).expect(t, "waiting")
			run(t, h)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, size := full(t)
				test(t, h, size)
			})
		})
	}
}
