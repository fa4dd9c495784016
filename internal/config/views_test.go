package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
)

const (
	// The seed and the public key of RFC 8032, test 1.
	testSeed   = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
	testPublic = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

func TestLoadSetsViews(t *testing.T) {
	t.Parallel()
	got, err := load(t, `
[store]
path = "/var/lib/millrace"
[http]
trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
cors_origins = []
[limits]
connects = { max = 20 }
[idempotency]
ttl = "1m"
[views]
default_app = "77"
rates.handshakes_per_ip = { max = 5 }
[telemetry]
sample_ratio = 0.25
`+oneApp+`
[apps.views]
auth = "static"
static_tokens = ["phone:s3cret:of-16-bytes", "a-token-of-16-bytes"]
signing_key = "`+testSeed+`"
publishable_keys = ["pk_1"]
[[apps.views.access]]
views = "Auction/*"
access = "token"
[[apps.views.definitions]]
id = "Auction/top"
limit = 3
filter = { not = { field = "a", op = "exists" } }
[[apps.projections]]
channels = "auction-*"
entity = "Auction"
key = "$1"
append = ["history"]
`, "MILLRACE_APPS_0_PROJECTIONS_0_DELETE_EVENTS=gone,over", "MILLRACE_APPS_0_VIEWS_SECRET_KEYS=a-key-of-16-bytes, b-key-of-16-bytes",
		"MILLRACE_VIEWS_RATES_HANDSHAKES_PER_IP_WINDOW=5s", "MILLRACE_TELEMETRY_SAMPLE_RATIO=0.5")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Store.Path = "/var/lib/millrace"
	want.Views.DefaultApp = "77"
	want.HTTP.TrustedProxies, want.HTTP.CORSOrigins = []string{"10.0.0.0/8", "::1", "unix"}, []string{}
	want.Limits.Connects.Max = 20
	want.Idempotency.TTL = config.Duration(time.Minute)
	want.Views.Rates.HandshakesPerIP = config.Rate{Max: 5, Window: config.Duration(5 * time.Second)}
	want.Telemetry.SampleRatio = 0.5
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "77", "mill-key", "mill-secret-of-77"
	a.Views.Auth = "static"
	a.Views.StaticTokens = []config.Secret{"phone:s3cret:of-16-bytes", "a-token-of-16-bytes"}
	a.Views.SigningKey = testSeed
	a.Views.PublishableKeys, a.Views.SecretKeys = []config.Secret{"pk_1"}, []config.Secret{"a-key-of-16-bytes", "b-key-of-16-bytes"}
	a.Views.Access = []config.ViewAccess{{Views: "Auction/*", Access: "token"}}
	a.Views.Definitions = []map[string]any{{
		"id": "Auction/top", "limit": int64(3),
		"filter": map[string]any{"not": map[string]any{"field": "a", "op": "exists"}},
	}}
	rule := config.DefaultProjection()
	rule.Channels, rule.Entity, rule.Key = "auction-*", "Auction", "$1"
	rule.Append, rule.DeleteEvents = []string{"history"}, []string{"gone", "over"}
	a.Projections = []config.Projection{rule}
	want.Apps = []config.App{a}
	if diff := cmp.Diff(want, got, byValue()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%v %+v %#v", got.Apps, got.Apps, got.Apps); strings.Contains(text, "s3cret") || strings.Contains(text, testSeed) {
		t.Errorf("a secret is printed: %s", text)
	}
}

func TestStaticTokensHaveLabels(t *testing.T) {
	t.Parallel()
	for text, want := range map[config.Secret][2]string{
		"phone:s3cret:x": {"phone", "s3cret:x"}, "bare": {"", "bare"}, ":x": {"", "x"}, "": {"", ""},
	} {
		if label, token := text.Labelled(); [2]string{label, token.Reveal()} != want {
			t.Errorf("%q: got %q, %q, want %q", text.Reveal(), label, token.Reveal(), want)
		}
	}
}

// The variables of views 2 and 10.
func TestVariablesOfOtherServers(t *testing.T) {
	t.Parallel()
	got, err := load(t, oneApp+"[views]\nmax_connections_per_ip = 1\n",
		"ARETE_WS_MAX_CONNECTIONS_PER_IP=2", "HYPERSTACK_WS_MAX_CONNECTIONS_PER_IP=3",
		"HYPERSTACK_WS_MAX_CONNECTIONS_PER_METERING_KEY=4", "ARETE_WS_MAX_CONNECTIONS_PER_ORIGIN=5",
		"ARETE_WS_CLIENT_TIMEOUT_SECS=90", "ARETE_WS_MESSAGE_QUEUE_SIZE=512", "ARETE_WS_RATE_LIMIT_WINDOW_SECS=30",
		"ARETE_WS_DEFAULT_MAX_CONNECTIONS=6", "MILLRACE_VIEWS_DEFAULT_MAX_CONNECTIONS=7",
		"ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS=8", "ARETE_WS_DEFAULT_MAX_SNAPSHOT_ROWS=9",
		"ARETE_WS_DEFAULT_MAX_MESSAGES_PER_MINUTE=10", "ARETE_WS_DEFAULT_MAX_BYTES_PER_MINUTE=500",
		"ARETE_RATE_LIMITING_ENABLED=false", "ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_MAX=60", "ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_WINDOW_SECS=10",
		"ARETE_RATE_LIMIT_SNAPSHOTS_PER_CONNECTION_WINDOW_SECS=20", "ARETE_ISSUER=not ours",
	)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default().Views
	want.MaxConnectionsPerIP, want.MaxConnectionsPerMeteringKey, want.MaxConnectionsPerOrigin = 2, 4, 5
	want.ClientTimeout = config.Duration(90 * time.Second)
	want.MaxQueueMessages = 512
	want.BudgetWindow = config.Duration(30 * time.Second)
	want.DefaultMaxConnections, want.DefaultMaxSubscriptions, want.DefaultMaxSnapshotRows = 7, 8, 9
	want.DefaultMaxMessagesPerMinute, want.DefaultMaxBytesPerMinute = 10, 500
	want.RateLimitingEnabled = false
	want.Rates.HandshakesPerIP = config.Rate{Max: 60, Window: config.Duration(10 * time.Second)}
	want.Rates.SnapshotsPerConnection.Window = config.Duration(20 * time.Second)
	if diff := cmp.Diff(want, got.Views); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSessionTokensNeedKeysWhereViewsAreDeclared(t *testing.T) {
	t.Parallel()
	const declared = oneApp + "[apps.views]\nentities = ['Auction']\n"
	for more, good := range map[string]bool{
		"":                                     false,
		"auth = 'open'":                        true,
		"auth = 'off'":                         true,
		"jwks_url = 'https://a.example/k'":     true,
		"signing_key = '" + testSeed + "'":     true,
		"public_keys = ['" + testPublic + "']": true,
	} {
		if _, err := load(t, declared+more); (err == nil) != good {
			t.Errorf("%q: got %v", more, err)
		}
	}
	if _, err := load(t, oneApp); err != nil {
		t.Errorf("an app without views: %v", err)
	}
}

func TestAccessOfBaseViews(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`views = "Auction/*"` + "\n" + `access = "token"`:    "",
		`views = "*"` + "\n" + `access = "public"`:           "",
		`views = "*/list"` + "\n" + `access = "server"`:      "",
		`views = "Auction/list"` + "\n" + `access = "token"`: "",
		`views = "Auct*/l*t"` + "\n" + `access = "token"`:    "",
		`views = "/list"` + "\n" + `access = "token"`:        "no base view is named so",
		`views = "Auction/top"` + "\n" + `access = "token"`:  "no base view is named so",
		`views = "*top"` + "\n" + `access = "token"`:         "no base view is named so",
		`access = "token"`:                       "views: missing",
		`views = "*"`:                            "access: missing; write public, token or server",
		`views = "*"` + "\n" + `access = "none"`: "must be one of public, token, server",
	} {
		_, err := load(t, oneApp+"[[apps.views.access]]\n"+rule)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", rule, err, want)
		}
	}
}

func TestTheWordThatWasForOffIsRefusedWithTheNewOne(t *testing.T) {
	t.Parallel()
	_, err := load(t, oneApp+"[apps.views]\nauth = 'none'\n")
	if err == nil || !strings.Contains(err.Error(), `apps[0].views.auth = "none": is "off" now; write "off"`) || strings.Contains(err.Error(), "must be one of") {
		t.Errorf("got %v", err)
	}
}

func TestUpgradeApp(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"id":"a","views":{"auth":"none","definitions":[{"filter":{"field":"x","op":"eq","value":null}}]},"n":1.0}`: `{"id":"a","n":1.0,"views":{"auth":"off","definitions":[{"filter":{"field":"x","op":"eq","value":null}}]}}`,
		`{"views": {"auth": "open"}}`: `{"views": {"auth": "open"}}`,
		`{"auth":"none"}`:             `{"auth":"none"}`,
		`{"views":7}`:                 `{"views":7}`,
		`no JSON`:                     `no JSON`,
	} {
		if got := string(config.UpgradeApp([]byte(document))); got != want {
			t.Errorf("%s: got %s, want %s", document, got, want)
		}
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	const signing = oneApp + "[apps.views]\nsigning_key = '" + testSeed + "'\n"
	for text, want := range map[string][]string{
		oneApp:                           nil,
		oneApp + "views.auth = 'open'\n": nil,
		signing:                          {"apps[0].views.access"},
		oneApp + "[views.rates]\nsnapshots_per_connection = { max = 5 }\n": {"views.rates.snapshots_per_connection"},
		oneApp + "[views.rates]\nsnapshots_per_connection = { max = 0 }\n": nil,
		signing + "publishable_keys = ['p']":                               {"apps[0].views.mint_origins", "apps[0].views.access"},
		signing + "publishable_keys = ['p']\nmint_origins = ['shop.example', 'https://shop.example/', 'https://*.shop.example']\n[[apps.views.access]]\nviews = '*'\naccess = 'server'\n": {
			"apps[0].views.mint_origins[1]", "apps[0].views.mint_origins[2]",
		},
		signing + "publishable_keys = ['p']\nmint_origins = ['https://shop.example']\n[[apps.views.access]]\nviews = '*'\naccess = 'server'\n": nil,
	} {
		c, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range c.Advice() {
			got = append(got, p.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
