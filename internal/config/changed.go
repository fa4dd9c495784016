package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Changed lists the paths of the keys that differ between two configurations, in the order
// of the keys. Apps are compared by id, under their numbers in after: a new one gives the
// path of its table, and so does one that is gone, under its number in before. A limit that an
// app has from [app_defaults] before and after is named there alone.
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

// Forgotten is a problem of a file that says nothing of apps where before had some: it may have been
// cut off before the first of them, or read while it was being written. A file without apps says so.
func Forgotten(before, after *Config) []Problem {
	if !after.origin.HasNoApps || before.origin.HasNoApps || len(after.Apps) >= len(before.Apps) {
		return nil
	}
	return []Problem{{Path: "apps", Message: fmt.Sprintf("the file names none, but %d are served; if it is whole, "+
		"write apps = [] at its top to remove them all", len(before.Apps)-len(after.Apps))}}
}

// changedKeys goes down tables; a list, also one of tables, is one key.
func changedKeys(path string, before, after reflect.Value, paths *[]string) {
	if before.Type() == reflect.TypeFor[[]App]() {
		return // by id
	}
	if before.Kind() == reflect.Struct {
		a, isApp := reflect.TypeAssert[*App](before.Addr())
		b, _ := reflect.TypeAssert[*App](after.Addr())
		for _, f := range FieldsOf(before.Type()) {
			if isApp && f.IsEmbedded() && !a.given[f.Key] && !b.given[f.Key] {
				continue
			}
			changedKeys(Join(path, f.Key), before.FieldByIndex(f.Index), after.FieldByIndex(f.Index), paths)
		}
		return
	}
	if !IsSame(before, after) {
		*paths = append(*paths, path)
	}
}
