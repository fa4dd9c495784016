package provision

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
)

func configured(change func(*config.App)) *config.Config {
	c := config.Development()
	change(&c.Apps[0])
	return c
}

func TestDefaultsOfConfigAndAppAgree(t *testing.T) {
	t.Parallel()
	a := config.DefaultApp()
	if diff := cmp.Diff(app.DefaultLimits(), convert(&a, app.Origins{}).Limits); diff != "" {
		t.Errorf("limits (-app +config):\n%s", diff)
	}
}

// Every field of an app is set by some key, and every key sets some field. What concerns
// views alone is no part of an app.
func TestEveryKeyOfAnAppHasItsPlace(t *testing.T) {
	t.Parallel()
	base := config.App{}
	zero := convert(&base, app.Origins{})
	places := map[string]string{}
	for _, f := range keysOfApps() {
		name := f.Name
		if name == "AllowedOrigins" || name == "Views" || name == "Projections" {
			continue
		}
		var c config.App
		switch v := reflect.ValueOf(&c).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		default:
			v.SetInt(7)
		}
		diff := changed(reflect.ValueOf(zero).Elem(), reflect.ValueOf(convert(&c, app.Origins{})).Elem())
		if len(diff) != 1 {
			t.Errorf("key %s sets the fields %v, want exactly one", name, diff)
			continue
		}
		places[diff[0]] = name
	}
	for _, field := range changed(reflect.ValueOf(zero).Elem(), reflect.ValueOf(full(t)).Elem()) {
		if places[field] == "" {
			t.Errorf("no key sets the field %s", field)
		}
	}
}

// keysOfApps are the fields of config.App that keys set, its limits among them.
func keysOfApps() []reflect.StructField {
	noKey := func(f reflect.StructField) bool { return f.Tag.Get("toml") == "" }
	return slices.DeleteFunc(reflect.VisibleFields(reflect.TypeFor[config.App]()), noKey)
}

// full is an app with every field but AllowedOrigins set.
func full(t *testing.T) *app.App {
	t.Helper()
	a := new(app.App)
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for _, f := range v.Fields() {
			switch {
			case f.Type() == reflect.TypeFor[app.Origins]():
			case f.Kind() == reflect.Struct:
				fill(f)
			case f.Kind() == reflect.String:
				f.SetString("x")
			case f.Kind() == reflect.Bool:
				f.SetBool(true)
			case f.Kind() == reflect.Slice:
				f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			default:
				f.SetInt(7)
			}
		}
	}
	fill(reflect.ValueOf(a).Elem())
	return a
}

// changed names the fields, also those of structs within, in which a and b differ.
func changed(a, b reflect.Value) (names []string) {
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		switch {
		case a.Field(i).Type() == reflect.TypeFor[app.Origins]():
		case a.Field(i).Kind() == reflect.Struct:
			names = append(names, changed(a.Field(i), b.Field(i))...)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			names = append(names, name)
		}
	}
	return names
}

func TestCheckFindsWhatConfigCannot(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*config.App)
		want   []string
	}{
		{"the development app is good", func(*config.App) {}, nil},
		{"good origins", func(a *config.App) { a.AllowedOrigins = []string{"*.example.com", "any"} }, nil},
		{
			"S13: bad origins", func(a *config.App) { a.AllowedOrigins = []string{"ok.example", "**", "a*b*c"} },
			[]string{`apps[0].allowed_origins[1] = "**": more than one *`, `apps[0].allowed_origins[2] = "a*b*c": more than one *`},
		},
		{"a control character", func(a *config.App) { a.ID = "a\n" }, []string{`apps[0].id: holds a control character`}},
		{"a key of several words", func(a *config.App) { a.CacheTTL = 0 }, []string{`apps[0].cache_ttl: must be above zero`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range Check(configured(tt.change)) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The path of a problem is a key that exists.
func TestProblemsNameKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for _, f := range keysOfApps() {
		keys[f.Tag.Get("toml")] = true
	}
	bad := &app.App{Limits: app.Limits{
		MaxConnections: -1, MaxSubscriptionsPerConnection: -1, MaxBackendEventsPerSecond: -1, MaxReadRequestsPerSecond: -1,
		MaxClientEvents: -1, MaxMessages: -1, MaxPresenceMembers: -1, MaxPresenceMemberSize: -1, MaxChannelsPerPublish: -1,
		MaxEventNameLength: -1, MaxEventPayload: -1, MaxBatchSize: -1,
	}, Features: app.Features{RequireAuthorized: true}}
	for _, p := range app.Validate(bad) {
		if !keys[configKey(p.Field)] {
			t.Errorf("%s becomes %s, which is no key", p.Field, configKey(p.Field))
		}
	}
}

func TestAppsAreRegistered(t *testing.T) {
	t.Parallel()
	file, err := new(Maker).File(configured(func(a *config.App) { a.AllowedOrigins = []string{"shop.example"} }))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := app.NewStatic([]*app.App{file[0].App})
	if err != nil {
		t.Fatal(err)
	}
	a, err := registry.ByKey(t.Context(), "app-key")
	if err != nil || a.ID != "app-id" || a.Secret != "app-secret" || !a.Enabled || !a.Features.ClientEvents {
		t.Fatalf("got %+v, %v", a, err)
	}
	if a.AllowedOrigins.Allows("https://other.example") || !a.AllowedOrigins.Allows("https://shop.example") {
		t.Error("the origins of the file do not rule")
	}
	_, err = new(Maker).File(configured(func(a *config.App) { a.AllowedOrigins = []string{"**"} }))
	if err == nil || !strings.Contains(err.Error(), "allowed_origins[0]") {
		t.Errorf("bad origins are registered: %v", err)
	}
	if text := fmt.Sprint(err); strings.Contains(text, "app-secret") {
		t.Errorf("the secret is printed: %s", text)
	}
}
