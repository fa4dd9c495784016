package channel_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

func TestValidName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		title string
		name  string
		want  bool
	}{
		{"a word", "prices", true},
		{"every allowed mark", "a,b;c.d=e@f_g-h", true},
		{"digits and capitals", "Room9", true},
		{"a bare prefix", "presence-", true},
		{"200 bytes", strings.Repeat("x", 200), true},
		{"201 bytes", strings.Repeat("x", 201), false},
		{"nothing", "", false},
		{"a space", "a b", false},
		{"a slash", "a/b", false},
		{"a colon", "a:b", false},
		{"beyond ASCII", "\u00e4", false},
		{"a star", "a*", false},
		{"a hash inside", "a#b", false},
		{"a bracket", "a[b]", false},
		{"a zero byte", "a\x00", false},
		{"a line end", "a\n", false},
		{"a user channel", "#server-to-user-u-9", true},
		{"a user channel with any characters", "#server-to-user-\u00e4 :*#/\u4e16", true},
		{"a user channel without id", "#server-to-user-", false},
		{"a user channel with a control character", "#server-to-user-a\tb", false},
		{"a user channel with a late control character", "#server-to-user-a\u0085", false},
		{"a user channel with broken UTF-8", "#server-to-user-\xff", false},
		{"a user channel of 200 bytes", "#server-to-user-" + strings.Repeat("x", 184), true},
		{"a user channel of 201 bytes", "#server-to-user-" + strings.Repeat("x", 185), false},
		{"another use of the hash", "#server-to-users", false},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			if got := channel.ValidName(test.name, 200); got != test.want {
				t.Errorf("got %v for %q", got, test.name)
			}
		})
	}
}

func FuzzValidName(f *testing.F) {
	for _, s := range []string{"prices", "a,b;c.d=e@f_g-h", "#server-to-user-\u00e4", "a:b", "\xff", ""} {
		f.Add(s)
	}
	ordinary := regexp.MustCompile(`\A[A-Za-z0-9_\-=@,.;]{1,200}\z`)
	user := regexp.MustCompile(`\A#server-to-user-\P{Cc}+\z`)
	f.Fuzz(func(t *testing.T, name string) {
		got := channel.ValidName(name, 200)
		if _, isUser := protocol.UserOf(name); isUser {
			if got != (len(name) <= 200 && utf8.ValidString(name) && user.MatchString(name)) {
				t.Fatalf("%q: got %v", name, got)
			}
			return
		}
		if got != ordinary.MatchString(name) {
			t.Fatalf("%q: got %v", name, got)
		}
	})
}
