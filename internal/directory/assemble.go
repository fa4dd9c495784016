package directory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// assemble puts the apps of the file and of the store together. Ids, aliases and keys of the
// file, and reserved keys, take precedence over the store; ids of the store over aliases there.
func assemble(parse Parse, file []Parsed, stored map[string]*storedApp, reserved []string) *state {
	s := &state{parse: parse, file: file, stored: stored}
	t := newTaken(reserved)
	for _, p := range file {
		t.take(p.App, SourceFile)
		s.entries = append(s.entries, Entry{ID: p.App.ID, Source: SourceFile, App: p.App, Shown: p.Shown, parsed: p})
	}
	for id, a := range stored {
		if _, isTaken := t.ids[id]; !isTaken && a.parsed.App != nil {
			t.ids[id] = holder{id, SourceStore}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(stored)) {
		a := stored[id]
		e := Entry{
			ID: id, Source: SourceStore, App: a.parsed.App, Shown: a.parsed.Shown,
			Version: a.record.Version, Changed: a.record.Changed, Problems: a.problems, parsed: a.parsed,
		}
		if e.App != nil {
			if e.Problems = t.problems(e.App); len(e.Problems) > 0 {
				e.App = nil
			} else {
				t.take(e.App, e.Source)
			}
		}
		s.entries = append(s.entries, e)
	}
	slices.SortStableFunc(s.entries, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	return s
}

// served are the apps that can be served.
func (s *state) served() []Parsed {
	var list []Parsed
	for _, e := range s.entries {
		if e.App != nil {
			list = append(list, e.parsed)
		}
	}
	return list
}

func (s *state) static() (*app.Static, error) {
	var list []*app.App
	for _, p := range s.served() {
		list = append(list, p.App)
	}
	return app.NewStatic(list)
}

// taken is which ids, aliases and keys are not free, and why.
type taken struct {
	ids  map[string]holder
	keys map[string]string
}

// holder is the app that has an id or an alias.
type holder struct {
	id     string
	source Source
}

func newTaken(reserved []string) taken {
	t := taken{ids: map[string]holder{}, keys: map[string]string{}}
	for _, key := range reserved {
		t.keys[key] = "the server itself has this key"
	}
	return t
}

func (t *taken) problems(a *app.App) []Problem {
	var found []Problem
	switch h, isTaken := t.ids[a.ID]; {
	case isTaken && h.id != a.ID:
		found = append(found, Problem{Path: "id", Value: a.ID, Message: fmt.Sprintf("the app %q has this alias", h.id)})
	case isTaken && h.source == SourceFile:
		found = append(found, Problem{Path: "id", Message: "the configuration file has an app with this id; remove one of them"})
	}
	for i, alias := range a.Aliases {
		if h, isTaken := t.ids[alias]; isTaken && h.id != a.ID {
			found = append(found, Problem{
				Path: fmt.Sprintf("aliases[%d]", i), Value: alias, Message: fmt.Sprintf("the app %q has this id or alias", h.id),
			})
		}
	}
	for i, key := range keysOf(a) {
		if why, ok := t.keys[key]; ok {
			found = append(found, Problem{Path: keyPath(i), Value: key, Message: why})
		}
	}
	return found
}

func (t *taken) take(a *app.App, source Source) {
	why := fmt.Sprintf("the app %q has this key", a.ID)
	for _, id := range append([]string{a.ID}, a.Aliases...) {
		t.ids[id] = holder{a.ID, source}
	}
	if source == SourceFile {
		why = fmt.Sprintf("the app %q of the configuration file has this key", a.ID)
	}
	for _, key := range keysOf(a) {
		t.keys[key] = why
	}
}

// takenBesides lists the ids and keys that are not free for the app id, or for a new app.
func (d *Directory) takenBesides(s *state, id string) taken {
	t := newTaken(d.o.Reserved)
	for _, e := range s.entries {
		if e.App != nil && (e.ID != id || e.Source == SourceFile) {
			t.take(e.App, e.Source)
		}
	}
	return t
}

// keysOf are all keys of an app, its own first.
func keysOf(a *app.App) []string {
	keys := []string{a.Key}
	for _, c := range a.Credentials {
		keys = append(keys, c.Key)
	}
	return keys
}

// keyPath is where in a document the key with number i of keysOf stands.
func keyPath(i int) string {
	if i == 0 {
		return "key"
	}
	return fmt.Sprintf("keys[%d].key", i-1)
}
