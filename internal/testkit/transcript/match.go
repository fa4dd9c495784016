package transcript

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// nested marks a string whose content is JSON and compared as such.
const nested = "\x01"

// unquote turns text in single quotes into JSON string literals. For sending, mark is
// empty; for comparing it is nested.
func unquote(s, mark string) string {
	var b strings.Builder
	for i, part := range strings.Split(s, "'") {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		literal, _ := json.Marshal(mark + part) // a string always has one
		b.Write(literal)
	}
	return b.String()
}

// matchJSON compares received JSON with what a line wants. Numbers are the same if they are
// written in the same way.
func matchJSON(want, got string) error {
	var w, g any
	if err := decode(unquote(want, nested), &w); err != nil {
		return fmt.Errorf("the transcript has no JSON here: %w", err)
	}
	if err := decode(got, &g); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return match("", w, g)
}

// matchSome is matchJSON of those members of objects that a line names.
func matchSome(want, got string) error {
	var w, g any
	if err := decode(unquote(want, nested), &w); err != nil {
		return fmt.Errorf("the transcript has no JSON here: %w", err)
	}
	if err := decode(got, &g); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return match("", w, restrict(w, g))
}

// restrict leaves of got the members that want has.
func restrict(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		some := map[string]any{}
		for k := range w {
			if v, ok := g[k]; ok {
				some[k] = restrict(w[k], v)
			}
		}
		return some
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			return got
		}
		some := make([]any, len(g))
		for i := range w {
			some[i] = restrict(w[i], g[i])
		}
		return some
	}
	return got
}

// decode reads one JSON value and keeps numbers as they are written.
func decode(text string, to *any) error {
	if !json.Valid([]byte(text)) { // a decoder does not look at what follows the value
		return json.Unmarshal([]byte(text), to)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

var socketID = regexp.MustCompile(`^\d+\.\d+$`)

func match(at string, want, got any) error {
	switch w := want.(type) {
	case string:
		return matchString(at, w, got)
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: not an object", at)
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return fmt.Errorf("%s.%s is too much", at, k)
			}
		}
		for k, v := range w {
			if _, ok := g[k]; !ok {
				return fmt.Errorf("%s.%s is missing", at, k)
			}
			if err := match(at+"."+k, v, g[k]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%s: not an array of %d", at, len(w))
		}
		if strings.HasSuffix(at, ".ids") || strings.HasSuffix(at, ".users") {
			return matchSet(at, w, g)
		}
		for i := range w {
			if err := match(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%s: got %v, want %v", at, got, want)
	}
	return nil
}

// matchSet compares arrays whose order means nothing.
func matchSet(at string, want, got []any) error {
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g any) bool { return match(at, w, g) == nil })
		if i < 0 {
			return fmt.Errorf("%s: %v is missing", at, w)
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

func matchString(at, want string, got any) error {
	// A number may be any as well; everything else must be a string.
	if want == "{{any-number}}" {
		if n, ok := got.(json.Number); ok {
			if f, err := n.Float64(); err == nil && f > 0 {
				return nil
			}
		}
		return fmt.Errorf("%s: got %v, want a number above zero", at, got)
	}
	g, ok := got.(string)
	if !ok {
		return fmt.Errorf("%s: got %v, want a string", at, got)
	}
	text, isNested := strings.CutPrefix(want, nested)
	switch {
	case isNested:
		if err := matchJSON(text, g); err != nil {
			return fmt.Errorf("%s, decoded: %w", at, err)
		}
		return nil
	case want == "{{socket-id}}" && socketID.MatchString(g), want == g:
		return nil
	}
	before, after, hasAny := strings.Cut(want, "{{any}}")
	if hasAny && len(g) > len(before)+len(after) && strings.HasPrefix(g, before) && strings.HasSuffix(g, after) {
		return nil
	}
	return fmt.Errorf("%s: got %q, want %q", at, g, want)
}
