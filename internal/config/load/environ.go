package load

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/bind"
)

const prefix = config.VariablePrefix

// environment binds the variables of environ (each NAME=value). A variable with the prefix
// that sets nothing is a problem: a typing error would otherwise pass unseen.
func environment(b *bind.Binder, c *config.Config, environ []string) {
	ours := map[string]string{} // of a repeated variable the last counts
	for _, entry := range environ {
		if name, text, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix) {
			ours[name] = text
		}
	}
	growApps(c, ours)
	aliases(b, &c.Views, environ)
	known := variables("", prefix, reflect.ValueOf(c).Elem())
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		text := ours[name]
		i := slices.IndexFunc(known, func(v variable) bool { return v.name == name })
		if i < 0 {
			b.Report(name, "", unknownVariable(name, len(c.Apps), namesOf(known)))
			continue
		}
		b.Give(known[i].path)
		b.Text(name, known[i].value, text)
	}
}

// growApps adds the apps that exist in the environment only. Their numbers follow the apps of the
// file without a gap.
func growApps(c *config.Config, ours map[string]string) {
	numbers := map[int]bool{}
	for name := range ours {
		if n, ok := appOf(name); ok {
			numbers[n] = true
		}
	}
	for numbers[len(c.Apps)] {
		c.Apps = append(c.Apps, config.DefaultApp())
	}
}

// appOf returns the number of the app that a variable sets something of.
func appOf(name string) (n int, ok bool) {
	rest, isApps := strings.CutPrefix(name, prefix+"APPS_")
	digits, _, hasKey := strings.Cut(rest, "_")
	n, err := strconv.Atoi(digits)
	return n, isApps && hasKey && err == nil && strconv.Itoa(n) == digits
}

// unknownVariable describes the problem of a variable that sets nothing, with so many apps.
func unknownVariable(name string, apps int, known []string) string {
	if n, ok := appOf(name); ok && n > apps {
		return fmt.Sprintf("there is no app %d; apps are numbered without a gap, and the next one begins with %sAPPS_%d_", n, prefix, apps)
	}
	return "unknown environment variable" + bind.DidYouMean(name, known)
}

// variable is an environment variable and the field that it sets.
type variable struct {
	name, path string
	value      reflect.Value
}

// variables lists every variable that sets something within v.
func variables(path, name string, v reflect.Value) []variable {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		var list []variable
		for i := range v.Len() {
			n := strconv.Itoa(i)
			list = append(list, variables(path+"["+n+"]", name+"_"+n, v.Index(i))...)
		}
		return list
	}
	if v.Type() == reflect.TypeFor[[]map[string]any]() {
		return nil // has no one-line form
	}
	if v.Kind() != reflect.Struct {
		return []variable{{name, path, v}}
	}
	var list []variable
	for _, f := range config.FieldsOf(v.Type()) {
		below := name + "_" + strings.ToUpper(f.Key)
		if name == prefix {
			below = prefix + strings.ToUpper(f.Key)
		}
		list = append(list, variables(config.Join(path, f.Key), below, v.FieldByIndex(f.Index))...)
	}
	return list
}

func namesOf(list []variable) []string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.name
	}
	return names
}
