package outbox_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

func TestBadEndpointsChangeNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		bad := hook("bad")
		bad.URL = "http://user:secret@exa mple/"
		err := n.SetEndpoints("app", []webhook.Endpoint{hook("x"), bad, hook("x")})
		want := []string{`webhook 1 ("bad"): URL: `, `webhook 2 ("x"): ID: another webhook of the app has it`}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(want) {
			t.Fatalf("got %q, want %q", lines, want)
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, want[i]) || strings.Contains(line, "secret") {
				t.Errorf("got %q, want it to begin with %q", line, want[i])
			}
		}
		n.CacheMiss("app", "cache-x")
		after(time.Second)
		r.expect(t, "the old one is in place", "cache_miss cache-x")
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	channels := []string{"prices", "presence-room", "private-encrypted-chat:1", "chat:12", "presence-cache-chat:x", "news:1", "chatter"}
	for name, c := range map[string]struct {
		filter app.WebhookFilter
		want   []string
	}{
		"none":                        {app.WebhookFilter{}, channels},
		"a prefix":                    {app.WebhookFilter{ChannelPrefix: "presence-"}, []string{"presence-room", "presence-cache-chat:x"}},
		"a suffix":                    {app.WebhookFilter{ChannelSuffix: "oom"}, []string{"presence-room"}},
		"a pattern, anywhere":         {app.WebhookFilter{ChannelPattern: "[0-9]$"}, []string{"private-encrypted-chat:1", "chat:12", "news:1"}},
		"a namespace":                 {app.WebhookFilter{Namespaces: []string{"chat"}}, []string{"private-encrypted-chat:1", "chat:12", "presence-cache-chat:x"}},
		"namespaces":                  {app.WebhookFilter{Namespaces: []string{"chat", "news"}}, []string{"private-encrypted-chat:1", "chat:12", "presence-cache-chat:x", "news:1"}},
		"prefixes left out":           {app.WebhookFilter{Exclude: []string{"private-encrypted-", "chat"}}, []string{"prices", "presence-room", "presence-cache-chat:x", "news:1"}},
		"all conditions must be true": {app.WebhookFilter{ChannelPrefix: "presence-", Namespaces: []string{"chat"}, ChannelPattern: "x"}, []string{"presence-cache-chat:x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				p := hook("hook")
				p.Filter = c.filter
				n := start(t, o, p)
				for _, channel := range channels {
					n.CacheMiss("app", channel)
				}
				after(time.Second)
				var got []string
				for _, req := range r.take() {
					for _, e := range req.events(t) {
						got = append(got, strings.TrimPrefix(e, "cache_miss "))
					}
				}
				// Between channels there is no order.
				if diff := cmp.Diff(slices.Sorted(slices.Values(c.want)), slices.Sorted(slices.Values(got))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
