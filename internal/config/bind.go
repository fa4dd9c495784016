package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// binder gives the fields of a Config their values, by their toml tags, and collects what
// does not fit instead of stopping at it.
type binder struct {
	problems []Problem
	isJSON   bool            // advice is about JSON, not about TOML
	given    map[string]bool // the paths that were there, whether or not their values fit
}

func (b *binder) give(path string) {
	if b.given == nil {
		b.given = map[string]bool{}
	}
	b.given[path] = true
}

func (b *binder) report(path, value, message string) {
	b.problems = append(b.problems, Problem{path, value, message})
}

// table binds the keys of a TOML table to the fields of the struct v.
func (b *binder) table(path string, v reflect.Value, table map[string]any) {
	fields := fieldsOf(v.Type())
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := join(path, key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			b.report(at, "", "unknown key"+didYouMean(key, keysOf(v.Type())))
			continue
		}
		b.value(at, v.FieldByIndex(fields[i].index), table[key])
	}
}

func (b *binder) value(path string, v reflect.Value, raw any) {
	b.give(path)
	switch p := v.Addr().Interface().(type) {
	case *[]string:
		texts(b, path, p, raw, show)
		return
	case *[]Secret:
		texts(b, path, p, raw, func(any) string { return hidden })
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		b.list(path, v, raw)
	case reflect.Struct:
		table, ok := raw.(map[string]any)
		if !ok {
			b.report(path, "", b.advice("must be a table: ["+tableName(path)+"]", "must be an object"))
			return
		}
		b.table(path, v, table)
	default:
		b.scalar(path, v, raw)
	}
}

// list binds tables such as [[apps]]; each starts from its defaults.
func (b *binder) list(path string, v reflect.Value, raw any) {
	advice := "write [[" + tableName(path) + "]] above each"
	if path == "apps" {
		advice += " app"
	}
	items, ok := raw.([]any)
	if !ok {
		b.report(path, "", b.advice("must be a list of tables: "+advice, "must be a list of objects"))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at, element := fmt.Sprintf("%s[%d]", path, i), v.Index(i)
		table, ok := item.(map[string]any)
		if !ok {
			b.report(at, "", b.advice("must be a table: "+advice, "must be an object"))
		}
		switch p := element.Addr().Interface().(type) {
		case *App:
			*p = DefaultApp()
		case *Projection:
			*p = DefaultProjection()
		case *Webhook:
			*p = DefaultWebhook()
		case *AppKey:
			*p = DefaultAppKey()
		case *ViewAccess:
			*p = ViewAccess{}
		case *map[string]any: // of a language that another package reads
			*p = table
			continue
		}
		b.table(at, element, table)
	}
}

// advice is what to write, in the language of the file.
func (b *binder) advice(toml, json string) string {
	if b.isJSON {
		return json
	}
	return toml
}

// tableName is how the table at path is spelled in a file: without the numbers of lists.
func tableName(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		name, _, _ := strings.Cut(part, "[")
		parts = append(parts, name)
	}
	return strings.Join(parts, ".")
}

// texts binds a list of texts. shown is how a problem shows a value.
func texts[T ~string](b *binder, path string, list *[]T, raw any, shown func(any) string) {
	items, ok := raw.([]any)
	if !ok {
		b.report(path, shown(raw), `must be a list of texts, such as ["a", "b"]`)
		return
	}
	*list = make([]T, 0, len(items))
	for i, item := range items {
		text, ok := item.(string)
		if !ok {
			b.report(fmt.Sprintf("%s[%d]", path, i), shown(item), "must be a text in quotes")
			continue
		}
		*list = append(*list, T(text))
	}
}

// scalar binds one value as TOML gives it.
func (b *binder) scalar(path string, v reflect.Value, raw any) {
	text, isText := raw.(string)
	number, isNumber := raw.(int64)
	value := show(raw)
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		if !isText {
			b.report(path, hidden, "must be a text in quotes")
			return
		}
		*p = Secret(text)
	case *string:
		if !isText {
			b.report(path, value, "must be a text in quotes")
			return
		}
		*p = text
	case *bool:
		flag, ok := raw.(bool)
		if !ok {
			b.report(path, value, "must be true or false, without quotes")
			return
		}
		*p = flag
	case *int:
		if !isNumber {
			b.report(path, value, "must be a whole number, without quotes")
			return
		}
		b.integer(path, p, number)
	case *float64:
		fraction, ok := raw.(float64)
		if !ok && !isNumber {
			b.report(path, value, "must be a number, without quotes")
			return
		}
		*p = fraction + float64(number) // one of them is zero
	default:
		if isNumber {
			b.report(path, value, "a number without unit; write "+withUnit(v, value))
			return
		}
		if !isText {
			b.report(path, value, "must be a text in quotes")
			return
		}
		b.text(path, v, text)
	}
}

func (b *binder) integer(path string, p *int, n int64) {
	switch value := strconv.FormatInt(n, 10); {
	case n < 0:
		b.report(path, value, "below zero")
	case n > math.MaxInt32:
		b.report(path, value, "too large; the greatest number is "+strconv.Itoa(math.MaxInt32))
	default:
		*p = int(n)
	}
}

// text binds one value that is written as text, as every environment variable is.
func (b *binder) text(path string, v reflect.Value, text string) {
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		*p = Secret(text)
	case *string:
		*p = text
	case *[]string:
		*p = splitList[string](text)
	case *[]Secret:
		*p = splitList[Secret](text)
	case *bool:
		switch text {
		case "true", "false":
			*p = text == "true"
		default:
			b.report(path, quote(text), "must be true or false")
		}
	case *int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			b.report(path, quote(text), "must be a whole number")
			return
		}
		b.integer(path, p, n)
	case *float64:
		parsed(b, path, text, p, func(text string) (float64, error) {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return 0, errors.New("must be a number")
			}
			return f, nil
		})
	case *Duration:
		parsed(b, path, text, p, parseDuration)
	case *Size:
		parsed(b, path, text, p, parseSize)
	}
}

// parsed sets *p to what text means; what means nothing leaves *p as it is.
func parsed[T any](b *binder, path, text string, p *T, parse func(string) (T, error)) {
	value, err := parse(text)
	if err != nil {
		b.report(path, quote(text), err.Error())
		return
	}
	*p = value
}

// splitList reads a list from the environment: entries separated by commas.
func splitList[T ~string](text string) []T {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var list []T
	for entry := range strings.SplitSeq(text, ",") {
		list = append(list, T(strings.TrimSpace(entry)))
	}
	return list
}

func withUnit(v reflect.Value, number string) string {
	if _, ok := reflect.TypeAssert[*Size](v.Addr()); ok {
		return `"` + number + `B", or in KB, MB, GB`
	}
	return `"` + number + `s", or in ms, m, h`
}

// show is a TOML value as a problem shows it.
func show(raw any) string {
	switch raw := raw.(type) {
	case string:
		return quote(raw)
	case map[string]any:
		return "{...}"
	case []any:
		return "[...]"
	default:
		return fmt.Sprint(raw)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// field is a field of a struct that has a key.
type field struct {
	key   string
	index []int // for reflect.Value.FieldByIndex
}

// isEmbedded reports whether the field is one of a struct that is embedded: of AppLimits in App.
func (f field) isEmbedded() bool { return len(f.index) > 1 }

// fieldsOf lists the fields of t, with the fields of an embedded struct in its place.
func fieldsOf(t reflect.Type) []field {
	list := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		switch key := f.Tag.Get("toml"); {
		case f.Anonymous:
			for _, inner := range fieldsOf(f.Type) {
				list = append(list, field{inner.key, append([]int{i}, inner.index...)})
			}
		case key != "":
			list = append(list, field{key, f.Index})
		}
	}
	return list
}

func keysOf(t reflect.Type) []string {
	fields := fieldsOf(t)
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return keys
}
