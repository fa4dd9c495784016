package bind_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/bind"
)

func TestTableGivesValuesAndCollectsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	a := config.DefaultApp()
	var b bind.Binder
	b.Table("apps[0]", reflect.ValueOf(&a).Elem(), map[string]any{
		"id": "shop", "secret": int64(5), "max_connections": int64(7), "cache_ttl": int64(30), "max_event_payload": "20KB",
		"allowed_origins": []any{"a.example", true}, "max_conections": int64(1), "keys": []any{map[string]any{"key": "k2"}},
	})
	want := config.DefaultApp()
	want.ID, want.MaxConnections, want.MaxEventPayload = "shop", 7, 20*config.KB
	want.AllowedOrigins = []string{"a.example"}
	want.Keys = []config.AppKey{{Key: "k2", Rights: "all"}}
	if diff := cmp.Diff(want, a, cmpopts.IgnoreUnexported(config.App{})); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	var got []string
	for _, p := range b.Problems {
		got = append(got, p.String())
	}
	problems := []string{
		"apps[0].allowed_origins[1] = true: must be a text in quotes",
		`apps[0].cache_ttl = 30: a number without unit; write "30s", or in ms, m, h`,
		"apps[0].max_conections: unknown key; did you mean max_connections?",
		"apps[0].secret = ***: must be a text in quotes",
	}
	if diff := cmp.Diff(problems, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for key, given := range map[string]bool{"max_connections": true, "cache_ttl": true, "max_batch_size": false, "max_conections": false} {
		if b.IsGiven("apps[0]."+key) != given {
			t.Errorf("%s is given: %t, want %t", key, !given, given)
		}
	}
}

func TestTextReadsWhatAVariableSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		into       any
		text, want string
		problem    string
	}{
		{new(string), "a", "a", ""},
		{new(bool), "true", "true", ""},
		{new(bool), "yes", "false", `X = "yes": must be true or false`},
		{new(int), "12", "12", ""},
		{new(int), "-1", "0", "X = -1: below zero"},
		{new(float64), "0.5", "0.5", ""},
		{new(config.Duration), "90s", "1m30s", ""},
		{new(config.Size), "1500", "0B", `X = "1500": not a size; write a whole number and its unit B, KB, MB or GB, such as "64KB"`},
		{new([]string), "a, b", "[a b]", ""},
	}
	for _, tt := range tests {
		var b bind.Binder
		v := reflect.ValueOf(tt.into).Elem()
		b.Text("X", v, tt.text)
		if got := bind.Show(v.Interface()); got != tt.want && got != `"`+tt.want+`"` {
			t.Errorf("%q into %T: got %s, want %s", tt.text, tt.into, got, tt.want)
		}
		problem := ""
		if len(b.Problems) > 0 {
			problem = b.Problems[0].String()
		}
		if problem != tt.problem {
			t.Errorf("%q into %T: problem %q, want %q", tt.text, tt.into, problem, tt.problem)
		}
	}
}
