package projection

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, name, first string
		ok                   bool
	}{
		{"room", "room", "", true},
		{"room", "rooms", "", false},
		{"auction-*", "auction-9", "9", true},
		{"auction-*", "auction-", "", true},
		{"auction-*", "auction", "", false},
		{"*-bids", "9-bids", "9", true},
		{"a-*-z", "a-z", "", false},
		{"a-*-z", "a--z", "", true},
		{"a-*-*", "a-1-2-3", "1", true},
		{"*.*", "1.2.3", "1", true},
		{"*-*-x", "1-2-3-x", "1", true},
		{"a*b*c", "aXbYbZc", "X", true},
		{"a*b*c", "abc", "", true},
		{"a*b*c", "acb", "", false},
	}
	for _, tt := range tests {
		if first, ok := pattern(tt.pattern).match(tt.name); first != tt.first || ok != tt.ok {
			t.Errorf("%s on %s: got %q, %v, want %q, %v", tt.pattern, tt.name, first, ok, tt.first, tt.ok)
		}
	}
}

// FuzzPattern holds patterns against regular expressions.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{{"a*b*c", "abbc"}, {"**", "x"}, {"*", ""}, {"a*a", "a"}, {"*ab*ab", "abab"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, p, name string) {
		if len(p) > 30 || len(name) > 100 || strings.ContainsAny(p+name, "\x00") || !utf8.ValidString(p) || !utf8.ValidString(name) {
			t.Skip()
		}
		parts := strings.Split(regexp.QuoteMeta(p), `\*`)
		expression := "^" + strings.Replace(strings.Join(parts, "*"), "*", "(.*?)", 1) + "$"
		expression = strings.ReplaceAll(strings.ReplaceAll(expression, "(.*?)", "\x00"), "*", ".*")
		m := regexp.MustCompile(`(?s)` + strings.ReplaceAll(expression, "\x00", "(.*?)")).FindStringSubmatch(name)
		first, ok := pattern(p).match(name)
		if ok != (m != nil) || ok && len(m) > 1 && m[1] != first {
			t.Fatalf("%q on %q: got %q, %v, want %q", p, name, first, ok, m)
		}
	})
}
