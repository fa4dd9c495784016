package webhook_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/webhook"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*webhook.Endpoint)
		want   []string // "field: a part of the message"
	}{
		"a plain one is good":                {func(*webhook.Endpoint) {}, nil},
		"headers of its own are good":        {func(p *webhook.Endpoint) { p.Headers = map[string]string{"X-Mine": "1", "X-Pusher-Key": "evil"} }, nil},
		"nothing at all":                     {func(p *webhook.Endpoint) { *p = webhook.Endpoint{} }, []string{"ID: missing", "URL: missing", "EventTypes: missing"}},
		"an id that is too long":             {func(p *webhook.Endpoint) { p.ID = strings.Repeat("x", 129) }, []string{"ID: has 129 bytes"}},
		"a URL without scheme":               {func(p *webhook.Endpoint) { p.URL = "example.com/hook" }, []string{"URL: must begin with http"}},
		"a URL of another scheme":            {func(p *webhook.Endpoint) { p.URL = "ftp://example.com" }, []string{"URL: must begin with http"}},
		"a URL without host":                 {func(p *webhook.Endpoint) { p.URL = "http:///hook" }, []string{"URL: has no host"}},
		"a URL that is none":                 {func(p *webhook.Endpoint) { p.URL = "http://exa mple.com:x/" }, []string{"URL: "}},
		"a pattern that is none":             {func(p *webhook.Endpoint) { p.Filter.ChannelPattern = "a(" }, []string{"Filter.ChannelPattern: is no regular expression"}},
		"an event that there is not":         {func(p *webhook.Endpoint) { p.EventTypes = []string{"channel_occupied", "unknown"} }, []string{`EventTypes: there is no event "unknown"`}},
		"a header with a line in its value":  {func(p *webhook.Endpoint) { p.Headers = map[string]string{"X-A": "1\r\nX-B: 2"} }, []string{`Headers: "X-A" has a value`}},
		"a header whose name is none":        {func(p *webhook.Endpoint) { p.Headers = map[string]string{"X A": "1"} }, []string{`Headers: "X A" is no name`}},
		"a header that is not for everybody": {func(p *webhook.Endpoint) { p.Headers = map[string]string{"host": "evil"} }, []string{`Headers: "host" belongs to the transport`}},
		"a switch that stands in between":    {func(p *webhook.Endpoint) { p.Retry.Enabled = "maybe" }, []string{`Retry.Enabled: is "maybe"`}},
		"numbers below zero": {func(p *webhook.Endpoint) {
			p.Retry.MaxAttempts, p.Retry.MaxBackoff, p.RequestTimeout, p.Batching.Size = -1, -1, -1, 1001
		}, []string{"RequestTimeout: below zero", "Retry.MaxAttempts: below zero", "Retry.MaxBackoff: below zero", "Batching.Size: must be"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := hook("hook")
			c.change(&p)
			problems := webhook.Validate(&p)
			if len(problems) != len(c.want) {
				t.Fatalf("got %v, want %v", problems, c.want)
			}
			for i, problem := range problems {
				if text := problem.Field + ": " + problem.Message; !strings.HasPrefix(text, c.want[i]) {
					t.Errorf("got %q, want it to begin with %q", text, c.want[i])
				}
			}
		})
	}
}

func TestBadEndpointsChangeNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o webhook.Options) {
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
			bubble(t, func(t *testing.T, r *receiver, o webhook.Options) {
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
