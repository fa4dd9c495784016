// Package appdoc has app documents: the JSON of what a table [[apps]] holds, with the same keys, units
// and defaults, as the admin API takes and shows it and as stores keep it.
//
// It must never know where documents are kept, or what the settings of an app do. It is pure: no file,
// no goroutine.
package appdoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/bind"
	"github.com/millrace/millrace/internal/config/rules"
)

// Parse reads a document. Limits that it leaves out come from fallback. The app is nil if there is any
// problem.
func Parse(document []byte, fallback *config.AppLimits) (*config.App, []config.Problem) {
	table, problems := parseObject(document)
	b := &bind.Binder{IsJSON: true, Problems: problems}
	if table == nil {
		return nil, b.Problems
	}
	a := config.DefaultApp()
	b.Table("", reflect.ValueOf(&a).Elem(), table)
	a.Inherit(fallback, b.IsGiven)
	for _, p := range rules.CheckApp(&a) {
		if !isReported(b.Problems, p.Path) {
			b.Problems = append(b.Problems, p)
		}
	}
	if len(b.Problems) > 0 {
		return nil, b.Problems
	}
	return &a, nil
}

// isReported reports whether there is a problem with the key at path already, which is no
// reason to name its default as another.
func isReported(problems []config.Problem, path string) bool {
	for _, p := range problems {
		if p.Path == path {
			return true
		}
	}
	return false
}

// Write returns the document of a: the limits that a was given, wherever it was read, and the other
// keys that differ from their defaults, in the order of the reference. Secrets are hidden unless reveal
// is set.
func Write(a *config.App, reveal bool) []byte {
	w := writer{reveal: reveal, hasOwn: a.HasOwn}
	plain := config.DefaultApp()
	w.table(reflect.ValueOf(a).Elem(), reflect.ValueOf(&plain).Elem())
	return w.out.Bytes()
}

type writer struct {
	out    bytes.Buffer
	reveal bool
	hasOwn func(limit string) bool
}

// table writes the limits that were given, and the other fields of v that differ from plain.
func (w *writer) table(v, plain reflect.Value) {
	w.out.WriteByte('{')
	isFirst := true
	for _, f := range config.FieldsOf(v.Type()) {
		value := v.FieldByIndex(f.Index)
		if f.IsEmbedded() && !w.hasOwn(f.Key) || !f.IsEmbedded() && config.IsSame(value, plain.FieldByIndex(f.Index)) {
			continue
		}
		if !isFirst {
			w.out.WriteByte(',')
		}
		isFirst = false
		w.text(f.Key)
		w.out.WriteByte(':')
		w.value(value)
	}
	w.out.WriteByte('}')
}

func (w *writer) value(v reflect.Value) {
	switch x := v.Interface().(type) {
	case config.Secret:
		w.secret(x)
	case fmt.Stringer: // a Duration or a Size
		w.text(x.String())
	case string:
		w.text(x)
	case bool:
		w.out.WriteString(strconv.FormatBool(x))
	case int:
		w.out.WriteString(strconv.Itoa(x))
	case config.AppKey:
		w.table(v, reflect.ValueOf(config.DefaultAppKey()))
	case config.Webhook:
		w.table(v, reflect.ValueOf(config.DefaultWebhook()))
	case config.AppViews:
		w.table(v, reflect.ValueOf(config.DefaultApp().Views))
	case config.ViewAccess:
		w.table(v, reflect.ValueOf(config.ViewAccess{}))
	case config.Projection:
		w.table(v, reflect.ValueOf(config.DefaultProjection()))
	case map[string]any: // a definition, of a language that another package reads
		w.json(x)
	default: // a list
		w.out.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				w.out.WriteByte(',')
			}
			w.value(v.Index(i))
		}
		w.out.WriteByte(']')
	}
}

func (w *writer) secret(s config.Secret) {
	if !w.reveal {
		w.text(s.String())
		return
	}
	w.text(s.Reveal())
}

func (w *writer) text(s string) { w.json(s) }

// json writes what has an encoding: texts, and tables that were read from JSON or TOML.
func (w *writer) json(v any) {
	e := json.NewEncoder(&w.out)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil { // a table with NaN or infinity, which Check has refused
		w.out.WriteString("{}\n")
	}
	w.out.Truncate(w.out.Len() - 1) // the line feed
}

// Upgrade makes a document that an earlier version has stored one of this version.
func Upgrade(document []byte) []byte {
	var table, views map[string]json.RawMessage
	if json.Unmarshal(document, &table) != nil || json.Unmarshal(table["views"], &views) != nil || string(views["auth"]) != `"none"` {
		return document // also one that is none, for which other rules report the problem
	}
	views["auth"] = json.RawMessage(`"off"`)
	var w writer
	w.json(views)
	table["views"] = bytes.Clone(w.out.Bytes())
	w.out.Reset()
	w.json(table)
	return w.out.Bytes()
}
