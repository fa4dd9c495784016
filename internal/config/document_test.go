package config_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
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
	v.Entities = []string{"Lot"}
	v.Definitions = []map[string]any{{
		"id": "top", "source": "Lot/list", "limit": int64(3), "fields": []any{"a"},
		"filter": map[string]any{"field": "a", "op": "lt", "value": 1.5},
	}}
	p := config.DefaultProjection()
	p.Channels, p.Entity, p.Key, p.Append = "lot-*", "Lot", "$1", []string{"bids"}
	a.Projections = []config.Projection{p}
	return a
}

func TestAppDocumentHasWhatDiffersFromTheDefault(t *testing.T) {
	t.Parallel()
	a := fullApp()
	const want = `{"id":"77","key":"mill-key","secret":"mill-<secret>","enabled":false,"allowed_origins":["*.shop.example"],` +
		`"client_events":true,"max_client_events":0,"max_event_payload":"64KB","cache_ttl":"1m30s",` +
		`"keys":[{"key":"k2","secret":"s2","rights":"publish"},{"key":"k3","secret":"s3"}],` +
		`"webhooks":[{"url":"https://backend.example/","event_types":["channel_occupied"],"headers":["X-Token: hush"],"max_elapsed":"1m"}],` +
		`"views":{"auth":"static","static_tokens":["shop:peek"],"signing_key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","secret_keys":["sk"],` +
		`"publishable_keys":["pk"],"token_ttl":"2m","entities":["Lot"],` +
		`"definitions":[{"fields":["a"],"filter":{"field":"a","op":"lt","value":1.5},"id":"top","limit":3,"source":"Lot/list"}]},` +
		`"projections":[{"channels":"lot-*","entity":"Lot","key":"$1","append":["bids"]}]}`
	if diff := cmp.Diff(want, string(config.AppDocument(&a, true))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	hidden := string(config.AppDocument(&a, false))
	for _, secret := range []string{"mill-<secret>", "s2", "s3", "hush", "peek", "AQEB", "sk", "pk"} {
		if strings.Contains(hidden, secret) {
			t.Errorf("%s is shown: %s", secret, hidden)
		}
	}
	if n := strings.Count(hidden, `"***"`); n != 8 {
		t.Errorf("%d secrets are hidden, want 8: %s", n, hidden)
	}
	back, problems := config.ParseApp([]byte(want))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff(&a, back, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestParseAppListsEveryProblem(t *testing.T) {
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
				`views.auth = "maybe": must be one of session, static, open, none`,
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
			a, problems := config.ParseApp([]byte(tt.document))
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
func FuzzParseApp(f *testing.F) {
	a := fullApp()
	f.Add(config.AppDocument(&a, true))
	f.Add([]byte(`{"id":"a","key":"k","secret":"s","max_event_payload":"1500B","keys":[]}`))
	f.Add([]byte(`{"a":{"b":[[[[]]]]},"c":1e999}`))
	f.Add([]byte(`{"id":"a","key":"k","secret":"s","views":{"definitions":[{"a":[1.0,1e18,-0.0,1e30,12345678901234567890,0.1,null]}]}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		a, problems := config.ParseApp(document)
		if (a == nil) != (len(problems) > 0) {
			t.Fatalf("app %v with problems %v", a, problems)
		}
		if a == nil {
			return
		}
		text := config.AppDocument(a, true)
		b, problems := config.ParseApp(text)
		if len(problems) > 0 {
			t.Fatalf("%s became %s: %v", document, text, problems)
		}
		if diff := cmp.Diff(a, b, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s: (-read +read again):\n%s", document, diff)
		}
		if !json.Valid(config.AppDocument(a, false)) {
			t.Fatal("what is shown is not JSON")
		}
	})
}
