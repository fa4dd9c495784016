package appdoc_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
)

func texts(problems []config.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, p.String())
	}
	return list
}

func fullApp() config.App {
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "77", "mill-key", "mill-<secret>"
	a.Enabled, a.ClientEvents = false, true
	a.AllowedOrigins = []string{"*.shop.example"}
	a.MaxEventPayload, a.CacheTTL = 64*config.KB, config.Duration(90*time.Second)
	a.MaxClientEvents = 0
	a.Keys = []config.AppKey{{Key: "k2", Secret: "s2", Rights: "publish"}, {Key: "k3", Secret: "s3", Rights: "all"}}
	w := config.DefaultWebhook()
	w.URL, w.EventTypes, w.Headers = "https://backend.example/", []string{"channel_occupied"}, []config.Secret{"X-Token: hush"}
	w.MaxElapsed = config.Duration(time.Minute)
	a.Webhooks = []config.Webhook{w}
	v := &a.Views
	v.Auth, v.StaticTokens, v.TokenTTL = "static", []config.Secret{"shop:peek"}, config.Duration(2*time.Minute)
	v.SigningKey, v.SecretKeys, v.PublishableKeys = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", []config.Secret{"sk"}, []config.Secret{"pk"}
	v.Entities, v.Access = []string{"Lot"}, []config.ViewAccess{{Views: "Lot/*", Access: "public"}}
	v.Definitions = []map[string]any{{
		"id": "top", "source": "Lot/list", "limit": int64(3), "fields": []any{"a"},
		"filter": map[string]any{"field": "a", "op": "lt", "value": 1.5},
	}}
	p := config.DefaultProjection()
	p.Channels, p.Entity, p.Key, p.Append = "lot-*", "Lot", "$1", []string{"bids"}
	a.Projections = []config.Projection{p}
	return a
}

// fullDocument is fullApp with one limit that equals its default.
const fullDocument = `{"id":"77","key":"mill-key","secret":"mill-<secret>","enabled":false,"allowed_origins":["*.shop.example"],` +
	`"client_events":true,"max_client_events":0,"max_event_payload":"64KB","max_batch_size":10,"cache_ttl":"1m30s",` +
	`"keys":[{"key":"k2","secret":"s2","rights":"publish"},{"key":"k3","secret":"s3"}],` +
	`"webhooks":[{"url":"https://backend.example/","event_types":["channel_occupied"],"headers":["X-Token: hush"],"max_elapsed":"1m"}],` +
	`"views":{"auth":"static","static_tokens":["shop:peek"],"signing_key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","secret_keys":["sk"],` +
	`"publishable_keys":["pk"],"token_ttl":"2m","entities":["Lot"],"access":[{"views":"Lot/*","access":"public"}],` +
	`"definitions":[{"fields":["a"],"filter":{"field":"a","op":"lt","value":1.5},"id":"top","limit":3,"source":"Lot/list"}]},` +
	`"projections":[{"channels":"lot-*","entity":"Lot","key":"$1","append":["bids"]}]}`

// parse reads a document where [app_defaults] has nothing set.
func parse(document []byte) (*config.App, []config.Problem) {
	return appdoc.Parse(document, &config.Default().AppDefaults)
}

func TestDocumentsHaveTheLimitsThatWereGivenAndWhatElseDiffersFromTheDefault(t *testing.T) {
	t.Parallel()
	a, problems := parse([]byte(fullDocument))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := fullApp()
	if diff := cmp.Diff(&want, a, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(config.App{})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(fullDocument, string(appdoc.Write(a, true))); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	hidden := string(appdoc.Write(a, false))
	for _, secret := range []string{"mill-<secret>", "s2", "s3", "hush", "peek", "AQEB", "sk", "pk"} {
		if strings.Contains(hidden, secret) {
			t.Errorf("%s is shown: %s", secret, hidden)
		}
	}
	if n := strings.Count(hidden, `"***"`); n != 8 {
		t.Errorf("%d secrets are hidden, want 8: %s", n, hidden)
	}
}

// A document has exactly the limits that it was given, whatever those of the node are that
// reads it.
func TestLimitsThatADocumentLeavesOutAreThoseOfTheNode(t *testing.T) {
	t.Parallel()
	fallback := config.Default().AppDefaults
	fallback.MaxConnections, fallback.MaxEventPayload, fallback.TerminateOnMessageLimit = 5, 20*config.KB, true
	fallback.AuthorizationTimeout = config.Duration(time.Minute)
	const base = `{"id":"a","key":"k","secret":"s"`
	tests := []struct {
		name, rest string
		want       func(*config.AppLimits)
	}{
		{"nothing", `}`, func(*config.AppLimits) {}},
		{"a value of its own", `,"max_connections":7}`, func(l *config.AppLimits) { l.MaxConnections = 7 }},
		{"no limit where the node has one", `,"max_connections":0}`, func(l *config.AppLimits) { l.MaxConnections = 0 }},
		{"the limit of the node", `,"max_connections":5}`, func(*config.AppLimits) {}},
		{"the built-in limit, which differs from the node's", `,"max_event_payload":"10KB"}`, func(l *config.AppLimits) { l.MaxEventPayload = 10 * config.KB }},
		{"the built-in limit, which is also the node's", `,"max_presence_members":100}`, func(*config.AppLimits) {}},
		{
			"a switch and a time", `,"terminate_on_message_limit":false,"authorization_timeout":"30s"}`,
			func(l *config.AppLimits) {
				l.AuthorizationTimeout, l.TerminateOnMessageLimit = config.Duration(30*time.Second), false
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, problems := appdoc.Parse([]byte(base+tt.rest), &fallback)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			want := fallback
			tt.want(&want)
			if diff := cmp.Diff(want, a.AppLimits); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(base+tt.rest, string(appdoc.Write(a, true))); diff != "" {
				t.Errorf("its document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseListsEveryProblem(t *testing.T) {
	t.Parallel()
	const base = `"id":"a","key":"k","secret":"s"`
	tests := []struct {
		name, document string
		want           []string
	}{
		{"the least app is good", `{` + base + `}`, nil},
		{"no JSON", `{"id":`, []string{"document: not JSON: it ends too early"}},
		{"something behind it", `{} {}`, []string{"document: not JSON: something follows the value, at byte 4"}},
		{"no object", `["a"]`, []string{"document: must be an object"}},
		{"nothing in it", `{}`, []string{"id: missing", "key: missing", "secret: missing"}},
		{
			"an unknown key, with what was meant", `{` + base + `,"max_conections":3}`,
			[]string{"max_conections: unknown key; did you mean max_connections?"},
		},
		{"a member that is there twice", `{` + base + `,"id":"b"}`, []string{"id: is there twice"}},
		{"null", `{` + base + `,"enabled":null}`, []string{"enabled = null: means nothing; leave the key out"}},
		{
			"wrong types", `{` + base + `,"enabled":"yes","max_connections":1.5,"cache_ttl":30,"keys":[1],"webhooks":{}}`,
			[]string{
				`cache_ttl = 30: a number without unit; write "30s", or in ms, m, h`,
				`enabled = "yes": must be true or false, without quotes`,
				`keys[0]: must be an object`,
				`max_connections = 1.5: must be a whole number, without quotes`,
				`webhooks: must be a list of objects`,
				`keys[0].key: missing`, `keys[0].secret: missing`,
			},
		},
		{
			"rules of views and projections", `{` + base + `,"views":{"auth":"maybe","entities":["a/b"],"definitions":[1]},"projections":[{"channels":"a"}]}`,
			[]string{
				`views.definitions[0]: must be an object`,
				`views.auth = "maybe": must be one of session, static, open, off`,
				`views.entities[0] = "a/b": must be a name without a slash`,
				`projections[0].entity: missing`, `projections[0].key: missing`,
			},
		},
		{
			"a key that is there twice", `{` + base + `,"keys":[{"key":"k","secret":"t"},{"key":"l","secret":"t"},{"key":"l","secret":"u"}]}`,
			[]string{`keys[0].key = "k": key is the same; it must be unique`, `keys[2].key = "l": keys[1].key is the same; it must be unique`},
		},
		{
			"what stands for secrets", `{"id":"a","key":"k","secret":"***","keys":[{"key":"l","secret":"***"}]}`,
			[]string{
				"secret: *** only stands for a secret that is not shown; leave the key out, or write the secret",
				"keys[0].secret: *** only stands for a secret that is not shown; leave the key out, or write the secret",
			},
		},
		{
			"what stands for secrets of views", `{` + base + `,"views":{"auth":"static","static_tokens":["***","shop:***"]}}`,
			[]string{
				"views.static_tokens[0]: *** only stands for a secret that is not shown; leave the key out, or write the secret",
				"views.static_tokens[1]: *** only stands for a secret that is not shown; leave the key out, or write the secret",
			},
		},
		{"rules", `{` + base + `,"cache_ttl":"0s","idempotency":"maybe"}`, []string{
			`cache_ttl = "0s": must be above zero`, `idempotency = "maybe": must be one of inherit, on, off`,
		}},
		{"a secret that is no text is not shown", `{"id":"a","key":"k","secret":["hush"]}`, []string{"secret = ***: must be a text in quotes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, problems := parse([]byte(tt.document))
			if diff := cmp.Diff(tt.want, texts(problems)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (a == nil) != (len(problems) > 0) {
				t.Errorf("app %v with problems %v", a, problems)
			}
		})
	}
}

// What can be read can be written, and means the same then.
func FuzzParse(f *testing.F) {
	f.Add([]byte(fullDocument))
	f.Add([]byte(`{"id":"a","key":"k","secret":"s","max_event_payload":"1500B","keys":[]}`))
	f.Add([]byte(`{"a":{"b":[[[[]]]]},"c":1e999}`))
	f.Add([]byte(`{"id":"a","key":"k","secret":"s","views":{"definitions":[{"a":[1.0,1e18,-0.0,1e30,12345678901234567890,0.1,null]}]}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		a, problems := parse(document)
		if (a == nil) != (len(problems) > 0) {
			t.Fatalf("app %v with problems %v", a, problems)
		}
		if a == nil {
			return
		}
		text := appdoc.Write(a, true)
		b, problems := parse(text)
		if len(problems) > 0 {
			t.Fatalf("%s became %s: %v", document, text, problems)
		}
		if diff := cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.AllowUnexported(config.App{})); diff != "" {
			t.Fatalf("%s: (-read +read again):\n%s", document, diff)
		}
		if !json.Valid(appdoc.Write(a, false)) {
			t.Fatal("what is shown is not JSON")
		}
	})
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"id":"a","views":{"auth":"none","definitions":[{"filter":{"field":"x","op":"eq","value":null}}]},"n":1.0}`: `{"id":"a","n":1.0,"views":{"auth":"off","definitions":[{"filter":{"field":"x","op":"eq","value":null}}]}}`,
		`{"views": {"auth": "open"}}`: `{"views": {"auth": "open"}}`,
		`{"auth":"none"}`:             `{"auth":"none"}`,
		`{"views":7}`:                 `{"views":7}`,
		`no JSON`:                     `no JSON`,
	} {
		if got := string(appdoc.Upgrade([]byte(document))); got != want {
			t.Errorf("%s: got %s, want %s", document, got, want)
		}
	}
}
