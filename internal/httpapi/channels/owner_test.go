package channels_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/protocol"
)

// away is a channel engine whose bus cannot be used.
type away struct{ err error }

func (a away) Publish(context.Context, *app.App, []channel.Event) error { return a.err }

func (a away) Channels(context.Context, *app.App, string) ([]channel.Status, error) {
	return nil, a.err
}

func (a away) Channel(context.Context, *app.App, string) (channel.Status, error) {
	return channel.Status{}, a.err
}

func (a away) Members(context.Context, *app.App, string) ([]protocol.Member, error) {
	return nil, a.err
}

func (a away) ChannelAt(context.Context, *app.App, string) (channel.Status, error) {
	return channel.Status{}, a.err
}

func (a away) CachedAt(context.Context, *app.App, string) (*bus.Retained, *protocol.StreamPosition, error) {
	return nil, nil, a.err
}

func (a away) Terminate(context.Context, *app.App, string) error { return a.err }

// TestTheOwnerIsAway asks for everything about channels while their owner cannot be asked.
func TestTheOwnerIsAway(t *testing.T) {
	t.Parallel()
	for _, err := range []error{bus.ErrUnavailable, bus.ErrClosed} {
		change := func(_ *app.App, o *apitest.Options) {
			engine := away{fmt.Errorf("node 2, secret detail: %w", err)}
			o.Channels.Publisher, o.Channels.Reader, o.Channels.Users = engine, engine, engine
		}
		apitest.In(t, change, func(n *apitest.Node) {
			for _, tt := range []struct{ method, path, body string }{
				{"POST", "events", apitest.Tick},
				{"POST", "events", apitest.With(`"k"`)},
				{"POST", "batch_events", `{"batch":[` + apitest.Tick + `]}`},
				{"GET", "channels", ""},
				{"GET", "channels/a", ""},
				{"GET", "channels/a?info=position", ""},
				{"GET", "channels/cache-a?info=cache", ""},
				{"GET", "channels/presence-a/users", ""},
				{"POST", "users/u/terminate_connections", ""},
			} {
				for range 2 { // nothing is left behind by which the second would be answered otherwise
					w := n.Do(tt.method, "/apps/77/"+tt.path, tt.body)
					n.Expect(w, 503, " service_unavailable")
					if w.Header().Get("Retry-After") != "1" || strings.Contains(w.Body.String(), "secret detail") {
						t.Errorf("%v, %s: got %v %s", err, tt.path, w.Header(), w.Body)
					}
				}
			}
		})
	}
}

// TestTheBusHasEnded is TestTheOwnerIsAway on a real engine.
func TestTheBusHasEnded(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		if err := n.Bus.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{
			"/apps/77/channels", "/apps/77/channels/a", "/apps/77/channels/cache-a?info=cache", "/apps/77/channels/presence-a/users",
		} {
			n.Expect(n.Do("GET", path, ""), 503, " service_unavailable")
		}
	})
}
