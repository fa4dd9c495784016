// Package bind gives settings their values: it walks a value of package config by the keys of its
// fields, and takes what a TOML table, a JSON object or a text of the environment has for them. It
// collects what does not fit instead of stopping at it.
//
// It must never know where a table comes from, or which values make sense together (config/rules). It
// starts no goroutine; a Binder belongs to one caller.
package bind

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/spelling"
)

// Binder gives fields their values, by their keys.
type Binder struct {
	Problems []config.Problem // found so far
	IsJSON   bool             // advice is about JSON, not about TOML

	given map[string]bool // the paths that were there, whether or not their values fit
}

// Give notes that there is a value for the key at path.
func (b *Binder) Give(path string) {
	if b.given == nil {
		b.given = map[string]bool{}
	}
	b.given[path] = true
}

// IsGiven reports whether there was a value for the key at path, whether or not it fits.
func (b *Binder) IsGiven(path string) bool { return b.given[path] }

// Report adds a problem.
func (b *Binder) Report(path, value, message string) {
	b.Problems = append(b.Problems, config.Problem{Path: path, Value: value, Message: message})
}

// Table binds the keys of a table to the fields of the struct v.
func (b *Binder) Table(path string, v reflect.Value, table map[string]any) {
	fields := config.FieldsOf(v.Type())
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := config.Join(path, key)
		i := slices.IndexFunc(fields, func(f config.Field) bool { return f.Key == key })
		if i < 0 {
			b.Report(at, "", "unknown key"+DidYouMean(key, config.KeysOf(v.Type())))
			continue
		}
		b.value(at, v.FieldByIndex(fields[i].Index), table[key])
	}
}

func (b *Binder) value(path string, v reflect.Value, raw any) {
	b.Give(path)
	switch p := v.Addr().Interface().(type) {
	case *[]string:
		texts(b, path, p, raw, Show)
		return
	case *[]config.Secret:
		texts(b, path, p, raw, func(any) string { return config.Hidden })
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		b.list(path, v, raw)
	case reflect.Struct:
		table, ok := raw.(map[string]any)
		if !ok {
			b.Report(path, "", b.advice("must be a table: ["+tableName(path)+"]", "must be an object"))
			return
		}
		b.Table(path, v, table)
	default:
		b.scalar(path, v, raw)
	}
}

// list binds tables such as [[apps]]; each starts from its defaults.
func (b *Binder) list(path string, v reflect.Value, raw any) {
	advice := "write [[" + tableName(path) + "]] above each"
	if path == "apps" {
		advice += " app"
	}
	items, ok := raw.([]any)
	if !ok {
		b.Report(path, "", b.advice("must be a list of tables: "+advice, "must be a list of objects"))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at, element := fmt.Sprintf("%s[%d]", path, i), v.Index(i)
		table, ok := item.(map[string]any)
		if !ok {
			b.Report(at, "", b.advice("must be a table: "+advice, "must be an object"))
		}
		switch p := element.Addr().Interface().(type) {
		case *config.App:
			*p = config.DefaultApp()
		case *config.Projection:
			*p = config.DefaultProjection()
		case *config.Webhook:
			*p = config.DefaultWebhook()
		case *config.AppKey:
			*p = config.DefaultAppKey()
		case *config.ViewAccess:
			*p = config.ViewAccess{}
		case *map[string]any: // of a language that another package reads
			*p = table
			continue
		}
		b.Table(at, element, table)
	}
}

// advice is what to write, in the language of the file.
func (b *Binder) advice(toml, json string) string {
	if b.IsJSON {
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
func texts[T ~string](b *Binder, path string, list *[]T, raw any, shown func(any) string) {
	items, ok := raw.([]any)
	if !ok {
		b.Report(path, shown(raw), `must be a list of texts, such as ["a", "b"]`)
		return
	}
	*list = make([]T, 0, len(items))
	for i, item := range items {
		text, ok := item.(string)
		if !ok {
			b.Report(fmt.Sprintf("%s[%d]", path, i), shown(item), "must be a text in quotes")
			continue
		}
		*list = append(*list, T(text))
	}
}

// scalar binds one value as TOML gives it.
func (b *Binder) scalar(path string, v reflect.Value, raw any) {
	text, isText := raw.(string)
	number, isNumber := raw.(int64)
	value := Show(raw)
	switch p := v.Addr().Interface().(type) {
	case *config.Secret:
		if !isText {
			b.Report(path, config.Hidden, "must be a text in quotes")
			return
		}
		*p = config.Secret(text)
	case *string:
		if !isText {
			b.Report(path, value, "must be a text in quotes")
			return
		}
		*p = text
	case *bool:
		flag, ok := raw.(bool)
		if !ok {
			b.Report(path, value, "must be true or false, without quotes")
			return
		}
		*p = flag
	case *int:
		if !isNumber {
			b.Report(path, value, "must be a whole number, without quotes")
			return
		}
		b.integer(path, p, number)
	case *float64:
		fraction, ok := raw.(float64)
		if !ok && !isNumber {
			b.Report(path, value, "must be a number, without quotes")
			return
		}
		*p = fraction + float64(number) // one of them is zero
	default:
		if isNumber {
			b.Report(path, value, "a number without unit; write "+withUnit(v, value))
			return
		}
		if !isText {
			b.Report(path, value, "must be a text in quotes")
			return
		}
		b.Text(path, v, text)
	}
}

func (b *Binder) integer(path string, p *int, n int64) {
	switch value := strconv.FormatInt(n, 10); {
	case n < 0:
		b.Report(path, value, "below zero")
	case n > math.MaxInt32:
		b.Report(path, value, "too large; the greatest number is "+strconv.Itoa(math.MaxInt32))
	default:
		*p = int(n)
	}
}

// Text binds one value that is written as text, as every environment variable is.
func (b *Binder) Text(path string, v reflect.Value, text string) {
	switch p := v.Addr().Interface().(type) {
	case *config.Secret:
		*p = config.Secret(text)
	case *string:
		*p = text
	case *[]string:
		*p = splitList[string](text)
	case *[]config.Secret:
		*p = splitList[config.Secret](text)
	case *bool:
		switch text {
		case "true", "false":
			*p = text == "true"
		default:
			b.Report(path, config.Quote(text), "must be true or false")
		}
	case *int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			b.Report(path, config.Quote(text), "must be a whole number")
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
	case *config.Duration:
		parsed(b, path, text, p, config.ParseDuration)
	case *config.Size:
		parsed(b, path, text, p, config.ParseSize)
	case *config.DiskSize:
		parsed(b, path, text, p, config.ParseDiskSize)
	}
}

// parsed sets *p to what text means; what means nothing leaves *p as it is.
func parsed[T any](b *Binder, path, text string, p *T, parse func(string) (T, error)) {
	value, err := parse(text)
	if err != nil {
		b.Report(path, config.Quote(text), err.Error())
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
	switch v.Addr().Interface().(type) {
	case *config.Size:
		return `"` + number + `B", or in KB, MB, GB`
	case *config.DiskSize:
		return `"` + number + `B", or in KB, MB, GB, TB`
	}
	return `"` + number + `s", or in ms, m, h`
}

// Show returns a value of TOML or JSON as a problem shows it.
func Show(raw any) string {
	switch raw := raw.(type) {
	case string:
		return config.Quote(raw)
	case map[string]any:
		return "{...}"
	case []any:
		return "[...]"
	default:
		return fmt.Sprint(raw)
	}
}

// DidYouMean ends a complaint about an unknown name with the one that was probably meant.
func DidYouMean(name string, known []string) string {
	if best := spelling.Closest(name, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}
