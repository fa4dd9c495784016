package pusher_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/app"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	"github.com/millrace/millrace/internal/testkit"
)

// changing is a registry in which something happens behind the first look.
type changing struct {
	app.Registry
	looks atomic.Int32
	later func(*app.App) (*app.App, error)
}

func (c *changing) ByKey(ctx context.Context, key string) (*app.App, error) {
	a, err := c.Registry.ByKey(ctx, key)
	if err != nil || c.looks.Add(1) == 1 {
		return a, err
	}
	return c.later(a)
}

func TestNobodyComesInWhileTheDoorCloses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		later func(*app.App) (*app.App, error)
		want  int
	}{
		{"the app was turned off", func(a *app.App) (*app.App, error) {
			off := *a
			off.Enabled = false
			return &off, nil
		}, 4003},
		{"the key was revoked", func(*app.App) (*app.App, error) { return nil, app.ErrNotFound }, 4001},
		{"the key is another app's now", func(a *app.App) (*app.App, error) {
			other := *a
			other.ID = "other"
			return &other, nil
		}, 4001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *pushersession.Options) { o.Apps = &changing{Registry: o.Apps, later: tt.later} }, nil)
			p := s.dial(t)
			f, err := p.Next(waitLimit)
			if err != nil || !strings.Contains(string(f.Payload), "pusher:error") {
				t.Fatalf("got %s, %v: want an error before anything else", f.Payload, err)
			}
			if f, err = p.Next(waitLimit); err != nil || f.CloseCode() != tt.want {
				t.Errorf("closed with %d, %v; want %d", f.CloseCode(), err, tt.want)
			}
		})
	}
}

func TestARefusalIsLoggedWithTheClientsAddress(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *pushersession.Options) {
		o.ClientIP = func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") }
	}, nil)
	p, err := testkit.DialPeer(s.addr, "/app/none?protocol=7", http.Header{"X-Forwarded-For": {"203.0.113.9"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	for {
		if f, err := p.Next(waitLimit); err != nil || f.Opcode == testkit.Close {
			break
		}
	}
	s.stop()
	want := `msg="connection refused" protocol=channels code=4001 why="No app with this key" app="" ip=203.0.113.9 more_since_last=0`
	if !strings.Contains(s.log.String(), want) {
		t.Errorf("got %s, want %s", s.log, want)
	}
}
