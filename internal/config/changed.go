package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Changed lists the paths of the keys that differ between two configurations, in the order
// of the keys. Apps are compared by id, under their numbers in after: a new one gives the
// path of its table, and so does one that is gone, under its number in before.
func Changed(before, after *Config) []string {
	var paths []string
	changedKeys("", reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem(), &paths)
	for i := range after.Apps {
		at, a := fmt.Sprintf("apps[%d]", i), &after.Apps[i]
		j := slices.IndexFunc(before.Apps, func(b App) bool { return b.ID == a.ID })
		if j < 0 {
			paths = append(paths, at)
			continue
		}
		changedKeys(at, reflect.ValueOf(&before.Apps[j]).Elem(), reflect.ValueOf(a).Elem(), &paths)
	}
	for j := range before.Apps {
		if !slices.ContainsFunc(after.Apps, func(a App) bool { return a.ID == before.Apps[j].ID }) {
			paths = append(paths, fmt.Sprintf("apps[%d]", j))
		}
	}
	return paths
}

// changedKeys goes down tables; a list, also one of tables, is one key.
func changedKeys(path string, before, after reflect.Value, paths *[]string) {
	if before.Type() == reflect.TypeFor[[]App]() {
		return // by id
	}
	if before.Kind() == reflect.Struct {
		for i := range before.NumField() {
			key := before.Type().Field(i).Tag.Get("toml")
			changedKeys(join(path, key), before.Field(i), after.Field(i), paths)
		}
		return
	}
	bothEmpty := before.Kind() == reflect.Slice && before.Len() == 0 && after.Len() == 0
	if !bothEmpty && !reflect.DeepEqual(before.Interface(), after.Interface()) {
		*paths = append(*paths, path)
	}
}
