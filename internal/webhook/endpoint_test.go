package webhook_test

import (
	"strings"
	"testing"

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
		"an event that there is not":         {func(p *webhook.Endpoint) { p.EventTypes = []string{"channel_occupied", "unknown"} }, []string{`EventTypes: there is no event "unknown"; use channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss, subscription_count, user_online, user_offline`}},
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
			p := webhook.Endpoint{ID: "hook", URL: "http://receiver.test/hook", EventTypes: []string{"channel_occupied"}}
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
