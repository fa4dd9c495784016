package foreign_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
	"github.com/millrace/millrace/internal/config/foreign"
)

func imported(change func(*config.App)) config.App {
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "77", "mill-key", "mill-secret"
	change(&a)
	return a
}

const (
	soketiApp = `{"id":"77","key":"mill-key","secret":"mill-secret","maxConnections":200,"enableClientMessages":true,"enabled":true,
		"maxBackendEventsPerSecond":-1,"maxClientEventsPerSec":"5","maxReadReqPerSec":7,"enableUserAuthentication":true,
		"maxPresenceMemberSizeInKb":2.5,"webhooks":[{"url":"https://b.example/","event_types":["channel_vacated","no_such"],
		"filter":{"channel_name_starts_with":"private-","channel_name_ends_with":"-x"},"headers":{"X-Token":"t"}},
		{"lambda_function":"f","event_types":["channel_vacated"]}]}`
	sockudoApp = `{"id":"77","key":"mill-key","secret":"mill-secret","enabled":true,"max_connections":"9","policy":{
		"limits":{"max_connections":"100","max_client_events_per_second":20,"decay_seconds":2,"terminate_on_limit":true,
			"max_event_payload_in_kb":32,"message_rate_limit":{"max_attempts":30,"decay_seconds":10,"terminate_on_limit":true}},
		"features":{"enable_client_messages":true,"enable_user_authentication":true,"enable_watchlist_events":true},
		"channels":{"allowed_origins":["https://shop.example"],"channel_namespaces":[]},
		"webhooks":[{"url":"https://b.example/","event_types":["member_added"],"retry":{"enabled":false,"max_elapsed_time_ms":"5000"},
			"request_timeout_ms":2500}],
		"idempotency":{"enabled":true,"ttl_seconds":60},"connection_recovery":null,"history":{"enabled":true}}}`
)

func soketiResult(a *config.App) {
	a.MaxConnections, a.ClientEvents, a.MaxClientEvents, a.MaxReadRequestsPerSecond, a.SignIn = 200, true, 5, 7, true
	a.MaxPresenceMemberSize = 2560
	w := config.DefaultWebhook()
	w.URL, w.EventTypes, w.ChannelPrefix, w.ChannelSuffix = "https://b.example/", []string{"channel_vacated"}, "private-", "-x"
	w.Headers = []config.Secret{"X-Token: t"}
	a.Webhooks = []config.Webhook{w}
}

func sockudoResult(a *config.App) {
	a.MaxConnections, a.MaxClientEvents, a.ClientEventWindow, a.TerminateOnClientEventLimit = 100, 20, config.Duration(2*time.Second), true
	a.MaxEventPayload = 32 * config.KB
	a.MaxMessages, a.MessageWindow, a.TerminateOnMessageLimit = 30, config.Duration(10*time.Second), true
	a.ClientEvents, a.SignIn, a.Watchlists = true, true, true
	a.AllowedOrigins = []string{"https://shop.example"}
	w := config.DefaultWebhook()
	w.URL, w.EventTypes, w.Retry = "https://b.example/", []string{"member_added"}, "off"
	w.MaxElapsed, w.RequestTimeout = config.Duration(5*time.Second), config.Duration(2500*time.Millisecond)
	a.Webhooks = []config.Webhook{w}
	a.Idempotency, a.IdempotencyTTL = "on", config.Duration(time.Minute)
}

func TestApps(t *testing.T) {
	t.Parallel()
	plain := imported(func(*config.App) {})
	tests := []struct {
		name, document string
		want           []config.App
		warnings       []string
	}{
		{
			"what a hosted service hands out", `{"app_id":77,"key":"mill-key","secret":"mill-secret","cluster":"eu"}`,
			[]config.App{plain},
			[]string{"cluster: has no counterpart here; it is left out"},
		},
		{"Soketi, one app", soketiApp, []config.App{imported(soketiResult)}, []string{
			`webhooks[0].event_types[1]: "no_such" has no counterpart here; it is left out`,
			`webhooks[1]: has no url; other targets have no counterpart here, so it is left out`,
		}},
		{"Soketi, a dotted key", `{"appManager.array.apps":[` + soketiApp + `],"debug":true}`, []config.App{imported(soketiResult)}, []string{
			`appManager.array.apps[0].webhooks[0].event_types[1]: "no_such" has no counterpart here; it is left out`,
			`appManager.array.apps[0].webhooks[1]: has no url; other targets have no counterpart here, so it is left out`,
		}},
		{"Sockudo, a policy goes before flat keys", sockudoApp, []config.App{imported(sockudoResult)}, []string{
			"max_connections: is ignored beside policy, as the other server does",
			"policy.channels.channel_namespaces: has no counterpart here; it is left out",
			"policy.history: has no counterpart here; it is left out",
		}},
		{
			"Sockudo, a whole configuration", `{"app_manager":{"driver":"memory","array":{"apps":[` + sockudoFlat + `]}}}`,
			[]config.App{imported(func(a *config.App) { a.MaxConnections, a.Enabled = 10, false })},
			nil,
		},
		{
			"a list of apps under apps", `{"apps":[` + sockudoFlat + `,{"id":"2","key":"k2","secret":"s2","enabled":"1"}]}`,
			[]config.App{imported(func(a *config.App) { a.MaxConnections, a.Enabled = 10, false }), other()},
			nil,
		},
		{
			"a row of a database, with JSON in texts", `[{"id":"77","key":"mill-key","secret":"mill-secret","enabled":1,
			"allowed_origins":"[\"a.example\"]","webhooks":"","max_event_batch_size":"5"}]`,
			[]config.App{imported(func(a *config.App) { a.AllowedOrigins, a.MaxBatchSize = []string{"a.example"}, 5 })},
			nil,
		},
		{
			"an app that does not say whether it is on", `{"id":"77","key":"mill-key","secret":"mill-secret","enable_client_messages":"false"}`,
			[]config.App{plain},
			[]string{"enabled: missing, which other servers take for off; it is on here"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, problems := foreign.Apps([]byte(tt.document))
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(config.App{})); diff != "" {
				t.Errorf("apps (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.warnings, texts(problems)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

const sockudoFlat = `{"id":"77","key":"mill-key","secret":"mill-secret","enabled":false,"max_connections":"10"}`

func other() config.App {
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "2", "k2", "s2"
	return a
}

// An imported app has the limits that it was given, also those that equal a default, and no
// others: what a rate leaves out is as it is there.
func TestImportedAppsKeepTheLimitsTheyWereGiven(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, rest, want string }{
		{"none", ``, ``},
		{"null is none", `,"max_connections":null`, ``},
		{
			"what equals a default", `,"max_event_name_length":200,"max_presence_member_size_in_kb":2,"maxEventChannelsAtOnce":"100"`,
			`,"max_presence_member_size":"2KB","max_channels_per_publish":100,"max_event_name_length":200`,
		},
		{"below zero is unlimited", `,"maxConnections":-1`, `,"max_connections":0`},
		{"client events are in a second", `,"maxClientEventsPerSec":10`, `,"max_client_events":10,"client_event_window":"1s"`},
		{
			"messages are 60 in a minute", `,"policy":{"limits":{"message_rate_limit":{}}}`,
			`,"max_messages":60,"message_window":"1m"`,
		},
		{"or unlimited", `,"policy":{"limits":{"message_rate_limit":{"enabled":false}}}`, `,"max_messages":0`},
		{
			"switches and times", `,"policy":{"limits":{"terminate_on_limit":false},"idempotency":{"ttl_seconds":0}}`,
			`,"terminate_on_client_event_limit":false,"idempotency_ttl":"0s"`,
		},
		{"a channel name cannot be unlimited", `,"max_channel_name_length":0`, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apps, problems := foreign.Apps([]byte(`{"id":"a","key":"k","secret":"s","enabled":true` + tt.rest + `}`))
			if len(apps) != 1 {
				t.Fatal(problems)
			}
			want := `{"id":"a","key":"k","secret":"s"` + tt.want + `}`
			if diff := cmp.Diff(want, string(appdoc.Write(&apps[0], true))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppsRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		document string
		want     []string
	}{
		"no JSON":      {`[`, []string{"document: not JSON: it ends too early"}},
		"no app":       {`{"port":6001}`, []string{"document: holds no app"}},
		"an empty one": {`[]`, []string{"document: holds no app"}},
		"values that mean nothing": {
			`[{"id":"1","key":"k","secret":"s","enabled":"perhaps","max_connections":"many","webhooks":5,"max_event_batch_size":1.5},7]`,
			[]string{
				`[0].enabled = "perhaps": must be true or false`,
				`[0].max_connections = "many": must be a number of at most 2147483647`,
				`[0].max_event_batch_size = 1.5: must be a whole number`,
				`[0].webhooks = 5: must be a list`,
				`[1] = 7: must be an object`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apps, problems := foreign.Apps([]byte(tt.document))
			if apps != nil {
				t.Errorf("got %v", apps)
			}
			if diff := cmp.Diff(tt.want, texts(problems)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever is read gives apps or reasons, and apps that are documents.
func FuzzApps(f *testing.F) {
	f.Add([]byte(soketiApp))
	f.Add([]byte(sockudoApp))
	f.Add([]byte(`{"appManager":{"array":{"apps":[{"id":1}]}}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		apps, problems := foreign.Apps(document)
		if len(apps) == 0 && len(problems) == 0 {
			t.Fatal("neither apps nor problems")
		}
		for i := range apps {
			for _, p := range documentProblems(&apps[i]) {
				if p.Path == "document" {
					t.Fatalf("app %d is no document: %v", i, p)
				}
			}
		}
	})
}

// documentProblems are the problems of the document that an app is kept as.
func documentProblems(a *config.App) []config.Problem {
	_, problems := appdoc.Parse(appdoc.Write(a, true), &config.Default().AppDefaults)
	return problems
}

func texts(problems []config.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, p.String())
	}
	return list
}
