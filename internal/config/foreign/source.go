package foreign

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
)

// source is one object, its members under their names in snake_case. A member that was asked
// for is used; finish tells of the others.
type source struct {
	im      *importer
	at      string
	values  map[string]any
	written map[string]string // how a name is written
	used    map[string]bool
}

func (im *importer) source(at string, table map[string]any) *source {
	s := &source{im: im, at: at, values: map[string]any{}, written: map[string]string{}, used: map[string]bool{}}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		name := snake(key)
		if other, taken := s.written[name]; taken {
			im.warn(config.Join(at, key), "is ignored beside "+other)
			continue
		}
		s.values[name], s.written[name] = table[key], key
	}
	return s
}

func (s *source) has(name string) bool { return s.values[name] != nil }

func (s *source) path(name string) string {
	if written, ok := s.written[name]; ok {
		name = written
	}
	return config.Join(s.at, name)
}

// take is a member, nil if there is none.
func (s *source) take(name string) any {
	s.used[name] = true
	return s.values[name]
}

// finish warns of every member that was not asked for.
func (s *source) finish(message string) {
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		if !s.used[name] {
			s.im.warn(s.path(name), message)
		}
	}
}

// text takes a text, or a number for one.
func (s *source) text(name string, p *string) {
	switch v := s.take(name).(type) {
	case nil:
	case string:
		*p = v
	case int64:
		*p = strconv.FormatInt(v, 10)
	default:
		s.im.refuse(s.path(name), v, "must be a text")
	}
}

// flag takes true or false, also as texts and, as databases hand them out, as 1 and 0.
func (s *source) flag(name string, p *bool) bool {
	switch v := s.take(name).(type) {
	case nil:
		return false
	case bool:
		give(s.im, p, v)
		return true
	case int64, string:
		if text := strings.ToLower(fmt.Sprint(v)); slices.Contains([]string{"true", "false", "1", "0"}, text) {
			give(s.im, p, text == "true" || text == "1")
			return true
		}
	}
	s.im.refuse(s.path(name), s.values[name], "must be true or false")
	return false
}

// maxNumber is the greatest number of a setting.
const maxNumber = 1<<31 - 1

// fraction takes a number, also as text.
func (s *source) fraction(name string) (n float64, ok bool) {
	switch v := s.take(name).(type) {
	case nil:
		return 0, false
	case int64:
		n, ok = float64(v), true
	case float64:
		n, ok = v, true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		n, ok = f, err == nil
	}
	if !ok || n != n || n > maxNumber {
		s.im.refuse(s.path(name), s.values[name], fmt.Sprintf("must be a number of at most %d", maxNumber))
		return 0, false
	}
	return max(n, 0), true // below zero is unlimited there, which is zero here
}

func (s *source) number(name string, p *int) {
	n, ok := s.fraction(name)
	if !ok {
		return
	}
	if n != float64(int(n)) {
		s.im.refuse(s.path(name), s.values[name], "must be a whole number")
		return
	}
	give(s.im, p, int(n))
}

func (s *source) kilobytes(name string, p *config.Size) {
	n, ok := s.fraction(name)
	if !ok {
		return
	}
	if n*float64(config.KB) > config.MaxSize {
		s.im.refuse(s.path(name), s.values[name], "too large; the greatest size is below 2GB")
		return
	}
	give(s.im, p, config.Size(n*float64(config.KB)))
}

func (s *source) seconds(name string, unit time.Duration, p *config.Duration) {
	if n, ok := s.fraction(name); ok {
		give(s.im, p, config.Duration(n*float64(unit)))
	}
}

// table takes an object, also as JSON in a text, as databases hold it; nil if there is none.
func (s *source) table(name string) *source {
	v := s.nested(name)
	if v == nil {
		return nil
	}
	table, ok := v.(map[string]any)
	if !ok {
		s.im.refuse(s.path(name), v, "must be an object")
		return nil
	}
	return s.im.source(s.path(name), table)
}

func (s *source) listOf(name string) []any {
	v := s.nested(name)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		s.im.refuse(s.path(name), v, "must be a list")
	}
	return list
}

func (s *source) nested(name string) any {
	v := s.take(name)
	text, ok := v.(string)
	if !ok {
		return v
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	v, problems, err := appdoc.ReadJSON([]byte(text), true)
	if err != nil {
		s.im.problems = append(s.im.problems, config.Problem{Path: s.path(name), Message: "not JSON: " + err.Error()})
		return nil
	}
	s.im.problems = append(s.im.problems, problems...)
	return v
}

func (s *source) texts(name string, p *[]string) {
	for i, item := range s.listOf(name) {
		text, ok := item.(string)
		if !ok {
			s.im.refuse(fmt.Sprintf("%s[%d]", s.path(name), i), item, "must be a text")
			continue
		}
		*p = append(*p, text)
	}
}

// snake is a name in camelCase as snake_case; one that is already stays as it is.
func snake(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		isUpper := 'A' <= c && c <= 'Z'
		if isUpper && i > 0 && ('a' <= name[i-1] && name[i-1] <= 'z' || '0' <= name[i-1] && name[i-1] <= '9') {
			b.WriteByte('_')
		}
		b.WriteByte(c)
	}
	return strings.ToLower(b.String())
}
