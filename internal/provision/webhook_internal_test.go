package provision

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/webhook"
)

// places sets each key alone and finds the one field that it sets. Every field but those of
// others must be set by some key. A switch of the server's is a bool, so its zero is "off".
func places(t *testing.T, keys reflect.Type, convert func(reflect.Value) reflect.Value, others ...string) {
	t.Helper()
	zero := convert(reflect.New(keys).Elem())
	set := map[string]string{}
	for i := range keys.NumField() {
		name, c := keys.Field(i).Name, reflect.New(keys).Elem()
		fillKey(c.Field(i))
		got := differing("", zero, convert(c))
		if len(got) != 1 || set[got[0]] != "" {
			t.Errorf("key %s sets the fields %v, want exactly one that no other sets", name, got)
			continue
		}
		set[got[0]] = name
	}
	for _, field := range fieldsOf("", zero.Type()) {
		if set[field] == "" && !slices.Contains(others, field) {
			t.Errorf("no key sets the field %s", field)
		}
	}
}

func fillKey(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		v.Index(0).SetString("name: value")
	default:
		v.SetInt(7)
	}
}

// fieldsOf names the fields of a struct, and those of structs within it.
func fieldsOf(path string, of reflect.Type) (names []string) {
	for f := range of.Fields() {
		if f.Type.Kind() == reflect.Struct {
			names = append(names, fieldsOf(path+f.Name+".", f.Type)...)
		} else {
			names = append(names, path+f.Name)
		}
	}
	return names
}

func differing(path string, a, b reflect.Value) (names []string) {
	for i := range a.NumField() {
		name := path + a.Type().Field(i).Name
		switch {
		case a.Field(i).Kind() == reflect.Struct:
			names = append(names, differing(name+".", a.Field(i), b.Field(i))...)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			names = append(names, name)
		}
	}
	return names
}

func TestEveryKeyOfAWebhookHasItsPlace(t *testing.T) {
	t.Parallel()
	places(t, reflect.TypeFor[config.Webhook](), func(v reflect.Value) reflect.Value {
		return reflect.ValueOf(webhooks([]config.Webhook{v.Interface().(config.Webhook)})[0])
	})
}

func TestEveryKeyOfWebhooksHasItsPlace(t *testing.T) {
	t.Parallel()
	places(t, reflect.TypeFor[config.Webhooks](), func(v reflect.Value) reflect.Value {
		c := v.Interface().(config.Webhooks)
		return reflect.ValueOf(WebhookOptions(&c))
	}, "Apps", "Store", "Transport", "MaxIntake", "Now", "Log", "Metrics")
}

func TestCheckFindsWhatIsWrongWithWebhooks(t *testing.T) {
	t.Parallel()
	good := config.DefaultWebhook()
	good.URL, good.EventTypes = "https://shop.example/hook?token=secret", []string{"channel_occupied"}
	with := func(change func(*config.Webhook)) config.Webhook {
		w := good
		change(&w)
		return w
	}
	c := configured(func(a *config.App) {
		a.Webhooks = []config.Webhook{
			good,
			with(func(w *config.Webhook) { w.ID = "1" }),
			with(func(w *config.Webhook) { w.ChannelPattern = "(" }),
			with(func(w *config.Webhook) { w.URL, w.EventTypes = "shop.example", nil }),
			with(func(w *config.Webhook) { w.Headers = []config.Secret{"Host: evil"} }),
			with(func(w *config.Webhook) { w.MaxBackoff, w.BatchSize = -1, 2000 }),
		}
	})
	var got []string
	for _, p := range Check(c) {
		got = append(got, p.String())
	}
	want := []string{
		`apps[0].webhooks[1].id = "1": webhooks[0] has the same; it must be unique within the app`,
		"apps[0].webhooks[2].channel_pattern: is no regular expression: error parsing regexp: missing closing ): `(`",
		`apps[0].webhooks[3].url: must begin with http:// or https://`,
		`apps[0].webhooks[3].event_types: missing; name the events to send, such as "channel_occupied"`,
		`apps[0].webhooks[4].headers: "Host" belongs to the transport; leave it out`,
		`apps[0].webhooks[5].max_backoff: below zero`,
		`apps[0].webhooks[5].batch_size: must be from 1 to 1000`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The path of a problem is a key that exists.
func TestProblemsOfWebhooksNameKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for f := range reflect.TypeFor[config.Webhook]().Fields() {
		keys[f.Tag.Get("toml")] = true
	}
	bad := app.Webhook{
		URL: "x", EventTypes: []string{"x"}, Filter: app.WebhookFilter{ChannelPattern: "("}, Headers: map[string]string{"": ""},
		Retry:          app.WebhookRetry{Enabled: "x", MaxAttempts: -1, MaxElapsed: -1, InitialBackoff: -1, MaxBackoff: -1},
		Batching:       app.WebhookBatching{Enabled: "x", Duration: -1, Size: -1},
		RequestTimeout: -1,
	}
	found := webhook.Validate(&bad)
	if len(found) < 13 {
		t.Errorf("only %d problems", len(found))
	}
	for _, p := range found {
		if !keys[webhookKey(p.Field)] {
			t.Errorf("%s becomes %s, which is no key", p.Field, webhookKey(p.Field))
		}
	}
}
