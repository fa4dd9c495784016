package directory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
)

// parseWith is parse where documents without max_connections mean most, and in which the app
// with the id bad cannot be.
func parseWith(most int, bad string) directory.Parse {
	return func(document []byte) (directory.Parsed, []directory.Problem) {
		p, problems := parse(document)
		if len(problems) > 0 {
			return p, problems
		}
		if p.App.ID == bad {
			return directory.Parsed{}, []directory.Problem{{Path: "id", Value: bad, Message: "not here"}}
		}
		if p.App.Limits.MaxConnections == 0 {
			p.App.Limits.MaxConnections = most
		}
		return p, nil
	}
}

func ofFile(t *testing.T, parse directory.Parse, documents ...string) []directory.Parsed {
	t.Helper()
	var list []directory.Parsed
	for _, d := range documents {
		p, problems := parse([]byte(d))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		list = append(list, p)
	}
	return list
}

// withOwn is a document with max_connections.
func withOwn(id string) string {
	return strings.TrimSuffix(text(id, "k-"+id), "}") + `,"max_connections":7}`
}

func served(d *directory.Directory) map[string]*app.App {
	apps := map[string]*app.App{}
	for _, a := range d.Apps().All() {
		apps[a.ID] = a
	}
	return apps
}

func most(apps map[string]*app.App) map[string]int {
	list := map[string]int{}
	for id, a := range apps {
		list[id] = a.Limits.MaxConnections
	}
	return list
}

func TestStoredAppsAreReadAnewWhenDocumentsMeanSomethingElse(t *testing.T) {
	t.Parallel()
	inFile := []string{text("f", "k-f"), withOwn("f-own")}
	calls := 0
	d := open(t, temporary(t), ofFile(t, parse, inFile...), func(o *directory.Options) {
		o.Changed = func(_, _ []directory.Parsed) { calls++ }
	})
	create(t, d, text("plain", "k-plain"))
	create(t, d, withOwn("own"))
	before, told := served(d), calls

	five := parseWith(5, "")
	if err := d.SetFile(t.Context(), ofFile(t, five, inFile...), five); err != nil {
		t.Fatal(err)
	}
	after := served(d)
	if diff := cmp.Diff(map[string]int{"f": 5, "f-own": 7, "plain": 5, "own": 7}, most(after)); diff != "" {
		t.Errorf("max_connections (-want +got):\n%s", diff)
	}
	for _, id := range []string{"f-own", "own"} {
		if before[id] != after[id] {
			t.Errorf("the app %s means the same, and is another one", id)
		}
	}
	if calls != told+1 {
		t.Errorf("told %d times of one change", calls-told)
	}
	if e, err := d.Get("plain"); err != nil || e.Version != 1 {
		t.Errorf("reading wrote a version: %+v, %v", e, err)
	}

	// What comes later is read alike, also without a word about it.
	if err := d.SetFile(t.Context(), ofFile(t, five, inFile...), nil); err != nil {
		t.Fatal(err)
	}
	create(t, d, text("late", "k-late"))
	if _, err := d.Change(t.Context(), "own", directory.AnyVersion, []byte(`{"max_connections":null}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"f": 5, "f-own": 7, "plain": 5, "own": 5, "late": 5}, most(served(d))); diff != "" {
		t.Errorf("max_connections (-want +got):\n%s", diff)
	}
}

func TestDocumentsMeanWhatTheyDidAfterAnErrorOfAnotherFile(t *testing.T) {
	t.Parallel()
	d := open(t, temporary(t), ofFile(t, parse, text("f", "k-f")), nil)
	create(t, d, text("plain", "k-plain"))
	create(t, d, withOwn("own"))
	before := served(d)
	tests := []struct {
		name  string
		file  string
		parse directory.Parse
		want  string
	}{
		{"a stored app that could not be served any more", text("g", "k-g"), parseWith(5, "own"), `"own"`},
		{"a file that takes the key of a stored app", text("g", "k-own"), parseWith(5, ""), `"own"`},
	}
	for _, tt := range tests { // one after the other: each finds what there was
		err := d.SetFile(t.Context(), ofFile(t, parseWith(5, ""), tt.file), tt.parse)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		after := served(d)
		for id, a := range before {
			if after[id] != a {
				t.Errorf("%s: the app %s is another one", tt.name, id)
			}
		}
		if len(after) != len(before) {
			t.Errorf("%s: serves %v", tt.name, most(after))
		}
	}
	if e := create(t, d, text("late", "k-late")); e.App.Limits.MaxConnections != 0 {
		t.Errorf("a document is read by the parse that was refused: %d", e.App.Limits.MaxConnections)
	}
}

func TestAStoredAppThatCouldNotBeReadIsServedWhenItCan(t *testing.T) {
	t.Parallel()
	store := temporary(t)
	create(t, open(t, store, nil, nil), text("a", "k-a"))
	d := open(t, store, nil, func(o *directory.Options) { o.Parse = parseWith(0, "a") })
	serves(t, d, "k-a", "")
	if err := d.SetFile(t.Context(), nil, parse); err != nil {
		t.Fatal(err)
	}
	serves(t, d, "k-a", "a")
}
