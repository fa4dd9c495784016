package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// ParseApp reads an app document: the JSON of what a table [[apps]] holds, with the same
// keys, units and defaults; limits that it leaves out come from fallback. The app is nil if
// there is any problem.
func ParseApp(document []byte, fallback *AppLimits) (*App, []Problem) {
	table, problems := parseObject(document)
	b := &binder{isJSON: true, problems: problems}
	if table == nil {
		return nil, b.problems
	}
	a := DefaultApp()
	b.table("", reflect.ValueOf(&a).Elem(), table)
	a.inherit(fallback, func(key string) bool { return b.given[key] })
	r := rules{}
	r.document(&a)
	for _, p := range r.problems {
		if !isReported(b.problems, p.Path) {
			b.problems = append(b.problems, p)
		}
	}
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	return &a, nil
}

// isReported reports whether there is a problem with the key at path already, which is no
// reason to name its default as another.
func isReported(problems []Problem, path string) bool {
	for _, p := range problems {
		if p.Path == path {
			return true
		}
	}
	return false
}

// document are the rules of an app on its own.
func (r *rules) document(a *App) {
	keys := map[string]string{}
	unique := func(path, key string) {
		if other, taken := keys[key]; taken && key != "" {
			r.report(path, quote(key), other+" is the same; it must be unique")
			return
		}
		keys[key] = path
	}
	for _, required := range []struct{ key, value string }{{"id", a.ID}, {"key", a.Key}, {"secret", a.Secret.Reveal()}} {
		if required.value == "" {
			r.report(required.key, "", "missing")
		}
	}
	names := map[string]bool{a.ID: true}
	for i, alias := range a.Aliases {
		if names[alias] {
			r.report(fmt.Sprintf("aliases[%d]", i), quote(alias), "names the app already")
		}
		names[alias] = true
	}
	r.revealed("secret", a.Secret)
	unique("key", a.Key)
	for i := range a.Keys {
		k, at := &a.Keys[i], fmt.Sprintf("keys[%d].", i)
		r.appKey(at, k, 0, map[string]int{})
		r.revealed(at+"secret", k.Secret)
		unique(at+"key", k.Key)
	}
	for i, w := range a.Webhooks {
		for j, header := range w.Headers {
			_, value, _ := strings.Cut(header.Reveal(), ":")
			r.revealed(fmt.Sprintf("webhooks[%d].headers[%d]", i, j), header)
			r.revealed(fmt.Sprintf("webhooks[%d].headers[%d]", i, j), Secret(strings.TrimSpace(value)))
		}
	}
	r.app("", a)
	r.appViews("views.", &a.Views)
	r.revealed("views.signing_key", a.Views.SigningKey)
	for _, secrets := range []struct {
		name string
		list []Secret
	}{{"static_tokens", a.Views.StaticTokens}, {"secret_keys", a.Views.SecretKeys}, {"publishable_keys", a.Views.PublishableKeys}} {
		for i, secret := range secrets.list {
			_, token := secret.Labelled()
			r.revealed(fmt.Sprintf("views.%s[%d]", secrets.name, i), token)
		}
	}
	for i := range a.Projections {
		r.projection(fmt.Sprintf("projections[%d].", i), &a.Projections[i])
	}
}

// revealed refuses the text that stands for a hidden secret: an operator who sends it has read a
// document without its secrets, and would overwrite them.
func (r *rules) revealed(path string, s Secret) {
	if s == hidden {
		r.report(path, "", hidden+" only stands for a secret that is not shown; leave the key out, or write the secret")
	}
}

// AppDocument is the app document of a: the limits that a was given, wherever it was read, and
// the other keys that differ from their defaults, in the order of the reference. Secrets are
// hidden unless reveal is set.
func AppDocument(a *App, reveal bool) []byte {
	w := documentWriter{reveal: reveal, given: a.given}
	plain := DefaultApp()
	w.table(reflect.ValueOf(a).Elem(), reflect.ValueOf(&plain).Elem())
	return w.out.Bytes()
}

type documentWriter struct {
	out    bytes.Buffer
	reveal bool
	given  map[string]bool
}

// table writes the limits that were given, and the other fields of v that differ from plain.
func (w *documentWriter) table(v, plain reflect.Value) {
	w.out.WriteByte('{')
	isFirst := true
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.index)
		if f.isEmbedded() && !w.given[f.key] || !f.isEmbedded() && isSame(value, plain.FieldByIndex(f.index)) {
			continue
		}
		if !isFirst {
			w.out.WriteByte(',')
		}
		isFirst = false
		w.text(f.key)
		w.out.WriteByte(':')
		w.value(value)
	}
	w.out.WriteByte('}')
}

// isSame takes an empty list for no list.
func isSame(a, b reflect.Value) bool {
	bothEmpty := a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0
	return bothEmpty || reflect.DeepEqual(a.Interface(), b.Interface())
}

func (w *documentWriter) value(v reflect.Value) {
	switch x := v.Interface().(type) {
	case Secret:
		w.secret(x)
	case fmt.Stringer: // a Duration or a Size
		w.text(x.String())
	case string:
		w.text(x)
	case bool:
		w.out.WriteString(strconv.FormatBool(x))
	case int:
		w.out.WriteString(strconv.Itoa(x))
	case AppKey:
		w.table(v, reflect.ValueOf(DefaultAppKey()))
	case Webhook:
		w.table(v, reflect.ValueOf(DefaultWebhook()))
	case AppViews:
		w.table(v, reflect.ValueOf(DefaultApp().Views))
	case ViewAccess:
		w.table(v, reflect.ValueOf(ViewAccess{}))
	case Projection:
		w.table(v, reflect.ValueOf(DefaultProjection()))
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

func (w *documentWriter) secret(s Secret) {
	if !w.reveal {
		w.text(s.String())
		return
	}
	w.text(s.Reveal())
}

func (w *documentWriter) text(s string) { w.json(s) }

// json writes what has an encoding: texts, and tables that were read from JSON or TOML.
func (w *documentWriter) json(v any) {
	e := json.NewEncoder(&w.out)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil { // a table with NaN or infinity, which Check has refused
		w.out.WriteString("{}\n")
	}
	w.out.Truncate(w.out.Len() - 1) // the line feed
}

// maxDepth is how deep a document may be nested: more than any that means something.
const maxDepth = 16

// parseObject reads one JSON object into what the binder takes. Unlike encoding/json it
// refuses members that are repeated, of which one would be lost; nulls set nothing, so they
// are refused, too. The table is nil if the text is no object.
func parseObject(document []byte) (map[string]any, []Problem) {
	p := jsonReader{decoder: json.NewDecoder(bytes.NewReader(document))}
	value, err := p.read()
	if err != nil {
		return nil, []Problem{{Path: "document", Message: "not JSON: " + err.Error()}}
	}
	table, ok := value.(map[string]any)
	if !ok {
		return nil, []Problem{{Path: "document", Message: "must be an object"}}
	}
	return table, p.problems
}

// jsonReader reads one JSON text: numbers become int64 if they are whole, float64 otherwise.
type jsonReader struct {
	decoder  *json.Decoder
	keepNull bool // nulls are left out, without a problem
	problems []Problem
}

func (p *jsonReader) read() (any, error) {
	p.decoder.UseNumber()
	value, err := p.value("", 0)
	if err != nil {
		return nil, plainError(err)
	}
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the value, at byte %d", p.decoder.InputOffset())
	}
	return value, nil
}

// plainError names the end of the text in words.
func plainError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

func (p *jsonReader) value(path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return p.object(path, depth)
		}
		return p.list(path, depth)
	case json.Number:
		if n, err := token.Int64(); err == nil {
			return n, nil
		}
		f, err := token.Float64()
		if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
			return int64(f), nil // JSON has one kind of number: 1.0 is 1
		}
		return f, err
	default: // string, bool or nil
		return token, nil
	}
}

func (p *jsonReader) object(path string, depth int) (any, error) {
	table := map[string]any{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string) // names of members are strings
		at := join(path, key)
		value, err := p.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, ok := table[key]; ok {
			p.problems = append(p.problems, Problem{Path: at, Message: "is there twice"})
		}
		if value != nil {
			table[key] = value
		} else if !p.keepNull {
			p.problems = append(p.problems, Problem{Path: at, Value: "null", Message: "means nothing; leave the key out"})
		}
	}
	_, err := p.decoder.Token()
	return table, err
}

func (p *jsonReader) list(path string, depth int) (any, error) {
	list := []any{}
	for p.decoder.More() {
		value, err := p.value(fmt.Sprintf("%s[%d]", path, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := p.decoder.Token()
	return list, err
}
