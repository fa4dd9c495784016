package app_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
)

func valid(id, key string) *app.App {
	return &app.App{ID: id, Key: key, Secret: "s", Enabled: true, Limits: app.DefaultLimits()}
}

func also(a *app.App, aliases ...string) *app.App {
	a.Aliases = aliases
	return a
}

func TestStaticFindsByAlias(t *testing.T) {
	t.Parallel()
	one := also(valid("one", "k1"), "1", "uno")
	s, err := app.NewStatic([]*app.App{one, valid("two", "k2")})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "1", "uno"} {
		if got, err := s.ByID(t.Context(), id); got != one || err != nil || !one.HasID(id) {
			t.Errorf("ByID(%s) = %v, %v", id, got, err)
		}
	}
	if s.Len() != 2 || len(s.All()) != 2 {
		t.Errorf("%d apps, %d listed; want 2: an alias is no app", s.Len(), len(s.All()))
	}
	next, err := app.NewStatic([]*app.App{also(valid("one", "k1"), "1", "uno"), valid("two", "k3")})
	if err != nil {
		t.Fatal(err)
	}
	s.Swap(next)
	if got, _ := s.ByID(t.Context(), "1"); got != one {
		t.Error("an app that is the same is another one by its alias")
	}
}

func TestStaticFinds(t *testing.T) {
	t.Parallel()
	one, two := valid("1", "k1"), valid("2", "k2")
	s, err := app.NewStatic([]*app.App{one, two})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ByKey(t.Context(), "k2"); got != two || err != nil {
		t.Errorf("ByKey(k2) = %v, %v", got, err)
	}
	if got, err := s.ByID(t.Context(), "1"); got != one || err != nil {
		t.Errorf("ByID(1) = %v, %v", got, err)
	}
	if _, err := s.ByKey(t.Context(), "1"); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("an id found as a key: %v", err)
	}
	if _, err := s.ByID(t.Context(), "k1"); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("a key found as an id: %v", err)
	}
	if got := s.Len(); got != 2 {
		t.Errorf("Len = %d, want 2", got)
	}
}

func TestStaticRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		apps []*app.App
		want string
	}{
		{"two apps with one id", []*app.App{valid("1", "k1"), valid("1", "k2")}, `app 1 ("1"): ID: another app has it`},
		{"two apps with one key", []*app.App{valid("1", "k1"), valid("2", "k1")}, `app 1 ("2"): Key: "k1" is taken`},
		{"an alias that is an id", []*app.App{also(valid("1", "k1"), "2"), valid("2", "k2")}, `app 0 ("1"): Aliases: "2" is taken`},
		{"an alias of two apps", []*app.App{also(valid("1", "k1"), "x"), also(valid("2", "k2"), "x")}, `app 1 ("2"): Aliases: "x" is taken`},
		{"an empty alias", []*app.App{also(valid("1", "k1"), "")}, `app 0 ("1"): Aliases: one is empty`},
		{"an app that is not valid", []*app.App{{ID: "1", Key: "k", Limits: app.DefaultLimits()}}, `app 0 ("1"): Secret: missing`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := app.NewStatic(tt.apps)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestValidateListsEverything(t *testing.T) {
	t.Parallel()
	if got := app.Validate(valid("1", "k")); got != nil {
		t.Errorf("the defaults are refused: %v", got)
	}
	bad := &app.App{Key: "a\nb", Limits: app.Limits{MaxConnections: -1}, Features: app.Features{RequireAuthorized: true}}
	var got []string
	for _, p := range app.Validate(bad) {
		got = append(got, p.Field)
	}
	want := []string{
		"ID", "Secret", "Key", "MaxConnections", "MaxChannelNameLength", "ClientEventWindow", "MessageWindow",
		"CacheTTL", "AuthorizationTimeout",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestSwapTellsWhoIsGoneAndKeepsWhoIsUnchanged(t *testing.T) {
	t.Parallel()
	off := valid("off", "k-off")
	off.Enabled = false
	s, err := app.NewStatic([]*app.App{valid("same", "k1"), valid("removed", "k2"), valid("disabled", "k3"), valid("rotated", "k4"), off})
	if err != nil {
		t.Fatal(err)
	}
	same, _ := s.ByID(t.Context(), "same")
	disabled := valid("disabled", "k3")
	disabled.Enabled = false
	next, err := app.NewStatic([]*app.App{valid("same", "k1"), disabled, valid("rotated", "k5"), valid("new", "k6")})
	if err != nil {
		t.Fatal(err)
	}
	gone := s.Swap(next)
	slices.Sort(gone)
	if diff := cmp.Diff([]string{"disabled", "removed"}, gone); diff != "" {
		t.Errorf("gone (-want +got):\n%s", diff)
	}
	if got, err := s.ByKey(t.Context(), "k1"); got != same || err != nil {
		t.Errorf("the unchanged app is another one: %v, %v", got, err)
	}
	for key, want := range map[string]string{"k5": "rotated", "k6": "new"} {
		if got, err := s.ByKey(t.Context(), key); err != nil || got.ID != want {
			t.Errorf("ByKey(%s) = %v, %v", key, got, err)
		}
	}
	for _, key := range []string{"k2", "k4"} {
		if _, err := s.ByKey(t.Context(), key); !errors.Is(err, app.ErrNotFound) {
			t.Errorf("ByKey(%s): got %v, want ErrNotFound", key, err)
		}
	}
}
