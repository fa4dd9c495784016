package load_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
)

const testSeed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=" // of RFC 8032, test 1

func TestLoadSetsViews(t *testing.T) {
	t.Parallel()
	got, err := loaded(t, `
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

// The variables of views 2 and 10.
func TestVariablesOfOtherServers(t *testing.T) {
	t.Parallel()
	got, err := loaded(t, oneApp+"[views]\nmax_connections_per_ip = 1\n",
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
