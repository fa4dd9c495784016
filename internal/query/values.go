package query

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
)

// members is the members of an object in a definition, by name.
type members map[string]jsonscan.Value

// dropNulls removes members that are null: they count as absent.
func (m members) dropNulls() {
	for name, v := range m {
		if v.Kind() == jsonscan.Null {
			delete(m, name)
		}
	}
}

// members reads an object that may have the known members only; nil for anything else.
func (p *parser) members(path string, v jsonscan.Value, known ...string) members {
	if v.Kind() != jsonscan.Object {
		if path == "" {
			p.fail("definition", "must be an object")
		} else {
			p.failValue(path, v, "must be an object")
		}
		return nil
	}
	if path != "" {
		path += "."
	}
	m := members{}
	for key, value := range v.Entries() {
		name := key.Text()
		if !slices.Contains(known, name) {
			p.fail(path+name, "unknown; "+suggest(name, known))
			continue
		}
		if m[name] != nil {
			p.fail(path+name, "given twice")
		}
		m[name] = value
	}
	return m
}

// elements reads an array, of at most limit elements, with the path of each. No value is an
// empty one.
func (p *parser) elements(path string, v jsonscan.Value, limit int) iter.Seq2[string, jsonscan.Value] {
	return func(yield func(string, jsonscan.Value) bool) {
		if v == nil {
			return
		}
		if v.Kind() != jsonscan.Array {
			p.failValue(path, v, "must be an array")
			return
		}
		i := 0
		for e := range v.Elements() {
			if i == limit {
				p.fail(path, "more than "+strconv.Itoa(limit)+" elements")
				return
			}
			if !yield(path+"["+strconv.Itoa(i)+"]", e) {
				return
			}
			i++
		}
	}
}

func (p *parser) text(path string, v jsonscan.Value) (string, bool) {
	if v.Kind() != jsonscan.String {
		p.failValue(path, v, "must be a string")
		return "", false
	}
	return v.Text(), true
}

func (p *parser) truth(path string, v jsonscan.Value) bool {
	if v != nil && v.Kind() != jsonscan.Bool {
		p.failValue(path, v, "must be true or false")
	}
	return string(v) == "true"
}

// path reads member names with dots between them. There is no way to write a name that has
// a dot (views 5.6).
func (p *parser) path(at string, v jsonscan.Value) []string {
	if v == nil {
		p.fail(at, "missing")
		return nil
	}
	s, ok := p.text(at, v)
	if !ok {
		return nil
	}
	names := strings.Split(s, ".")
	switch {
	case slices.Contains(names, ""):
		p.failValue(at, v, "must be member names with dots between them, none of them empty")
	case len(names) > maxSegments || len(s) > maxPath:
		p.failValue(at, v, "more than "+strconv.Itoa(maxSegments)+" names or "+strconv.Itoa(maxPath)+" bytes")
	}
	return names
}
