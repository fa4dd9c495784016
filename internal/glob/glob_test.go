package glob_test

import (
	"testing"

	"github.com/millrace/millrace/internal/glob"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"Auction/*", "Auction/list", true},
		{"Auction/*", "Auction", false},
		{"Auction/*", "auction/list", false},
		{"*/list", "a/b/list", true},
		{"*/list", "a/list/b", false},
		{"a*c", "abc", true},
		{"a*c", "ac", true},
		{"a*a", "a", false},
		{"a*b*c", "axbxbxc", true},
		{"a*b*c", "axcxb", false},
		{"a**b", "ab", true},
		{"?", "a", false},
		{"[a]", "a", false},
	} {
		if got := glob.Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}
