package directory_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
)

// model is what must be true: apps by id, with their keys in order and what else they are.
type model struct {
	file, stored map[string]modelApp
}

type modelApp struct {
	keys    []string
	enabled bool
}

func (m *model) all() map[string]modelApp {
	all := maps.Clone(m.stored)
	maps.Copy(all, m.file)
	return all
}

// owner is the app that has a key.
func (m *model) owner(key string) string {
	for id, a := range m.all() {
		if slices.Contains(a.keys, key) {
			return id
		}
	}
	return ""
}

// Random operations on few ids and keys, against the real store, which is opened again now and
// then: what is served is what the model has.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		path := t.TempDir()
		store := openStore(t, path)
		defer func() {
			if err := store.Close(); err != nil {
				r.Error(err)
			}
		}()
		fileApps := []string{text("f", "k0")}
		m := model{file: map[string]modelApp{"f": {keys: []string{"k0"}, enabled: true}}, stored: map[string]modelApp{}}
		d := open(t, store, file(t, fileApps...), nil)
		id := func() string { return rapid.SampledFrom([]string{"a", "b", "f"}).Draw(r, "id") }
		key := func() string { return fmt.Sprintf("k%d", rapid.IntRange(0, 5).Draw(r, "key")) }
		must := func(err error, want bool) {
			r.Helper()
			if (err == nil) != want {
				r.Fatalf("error %v, want success: %v", err, want)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"create": func(*rapid.T) {
				id, key := id(), key()
				_, exists := m.all()[id]
				isFree := m.owner(key) == ""
				_, _, err := d.Create(t.Context(), []byte(text(id, key)))
				must(err, !exists && isFree)
				if err == nil {
					m.stored[id] = modelApp{keys: []string{key}, enabled: true}
				}
			},
			"set enabled": func(*rapid.T) {
				id, on := id(), rapid.Bool().Draw(r, "on")
				a, ok := m.stored[id]
				patch, _ := json.Marshal(map[string]bool{"enabled": on})
				_, err := d.Change(t.Context(), id, directory.AnyVersion, patch)
				must(err, ok)
				if ok {
					a.enabled = on
					m.stored[id] = a
				}
			},
			"delete": func(*rapid.T) {
				id := id()
				_, ok := m.stored[id]
				must(d.Delete(t.Context(), id, directory.AnyVersion), ok)
				delete(m.stored, id)
			},
			"add key": func(*rapid.T) {
				id, key := id(), key()
				a, ok := m.stored[id]
				isFree := m.owner(key) == ""
				_, _, err := d.AddKey(t.Context(), id, directory.AnyVersion, app.Credential{Key: key})
				must(err, ok && isFree)
				if err == nil {
					a.keys = append(slices.Clone(a.keys), key)
					m.stored[id] = a
				}
			},
			"remove key": func(*rapid.T) {
				id, key := id(), key()
				a, ok := m.stored[id]
				has := slices.Contains(a.keys, key) && len(a.keys) > 1
				_, err := d.RemoveKey(t.Context(), id, directory.AnyVersion, key)
				must(err, ok && has)
				if err == nil {
					a.keys = slices.DeleteFunc(slices.Clone(a.keys), func(k string) bool { return k == key })
					m.stored[id] = a
				}
			},
			"rotate": func(*rapid.T) {
				id := id()
				a, ok := m.stored[id]
				_, c, err := d.Rotate(t.Context(), id, directory.AnyVersion)
				must(err, ok)
				if ok {
					a.keys = append(append([]string{c.Key}, a.keys[1:]...), a.keys[0])
					m.stored[id] = a
				}
			},
			"another file": func(*rapid.T) {
				key := key()
				owner := m.owner(key)
				apps := file(t, text("f", key))
				err := d.SetFile(t.Context(), apps, nil)
				must(err, owner == "" || owner == "f")
				if err == nil {
					m.file["f"], fileApps = modelApp{keys: []string{key}, enabled: true}, []string{text("f", key)}
				}
			},
			"restart": func(*rapid.T) {
				if err := store.Close(); err != nil {
					r.Fatal(err)
				}
				store = openStore(t, path)
				d = open(t, store, file(t, fileApps...), nil)
			},
			"": func(*rapid.T) {
				got := map[string][]string{}
				for _, a := range d.Apps().All() {
					got[a.ID] = append(keysOf(a), strconv.FormatBool(a.Enabled))
					for _, key := range keysOf(a) {
						if b, err := d.Apps().ByKey(t.Context(), key); err != nil || b.ID != a.ID {
							r.Fatalf("key %s is that of %v, %v, want of %s", key, b, err, a.ID)
						}
					}
				}
				want := map[string][]string{}
				for id, a := range m.all() {
					want[id] = append(slices.Clone(a.keys), strconv.FormatBool(a.enabled))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					r.Fatalf("served (-want +got):\n%s", diff)
				}
			},
		})
	})
}

func keysOf(a *app.App) []string {
	keys := []string{a.Key}
	for _, c := range a.Credentials {
		keys = append(keys, c.Key)
	}
	return keys
}

func FuzzMergePatch(f *testing.F) {
	f.Add(`{"max_connections":1}`)
	f.Add(`{"keys":null,"a":{"b":{"c":null}}}`)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, patch string) {
		d := open(t, &kept{}, nil, nil)
		if _, _, err := d.Create(t.Context(), []byte(text("a", "k"))); err != nil {
			t.Fatal(err)
		}
		e, err := d.Change(t.Context(), "a", directory.AnyVersion, []byte(patch))
		if err == nil && (e.App == nil || e.ID != "a") {
			t.Errorf("%q gave %+v", patch, e)
		}
	})
}
