package channel_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/channel"
)

// traits are what a Kind answers.
type traits struct {
	Signed, Members, Cache, ClientEvents, User bool
}

func traitsOf(k channel.Kind) traits {
	return traits{k.NeedsSignature(), k.HasMembers(), k.HasCache(), k.AllowsClientEvents(), k.IsUser()}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		title string
		name  string
		want  traits
	}{
		{"encrypted cache", "private-encrypted-cache-x", traits{Signed: true, Cache: true}},
		{"encrypted", "private-encrypted-x", traits{Signed: true}},
		{"private cache", "private-cache-x", traits{Signed: true, Cache: true, ClientEvents: true}},
		{"private", "private-x", traits{Signed: true, ClientEvents: true}},
		{"presence cache", "presence-cache-x", traits{Signed: true, Members: true, Cache: true, ClientEvents: true}},
		{"presence", "presence-x", traits{Signed: true, Members: true, ClientEvents: true}},
		{"public cache", "cache-x", traits{Cache: true}},
		{"user", "#server-to-user-u-9", traits{User: true}},
		{"public", "prices", traits{}},
		{"nothing", "", traits{}},
		{"a bare private prefix is private", "private-", traits{Signed: true, ClientEvents: true}},
		{"a bare presence prefix is presence", "presence-", traits{Signed: true, Members: true, ClientEvents: true}},
		{"a prefix without its dash is public", "private", traits{}},
		{"prefixes are case-sensitive", "Private-x", traits{}},
		{"cache later in a private name is no cache", "private-mycache-1", traits{Signed: true, ClientEvents: true}},
		{"cache later in a private name, dashed, is no cache", "private-my-cache-1", traits{Signed: true, ClientEvents: true}},
		{"cache later in a public name is no cache", "my-cache-1", traits{}},
		{"cache later in a presence name is no cache", "presence-app-cache-2", traits{Signed: true, Members: true, ClientEvents: true}},
		{"an encrypted name of another prefix is public", "encrypted-x", traits{}},
		{"presence has no encrypted form", "presence-encrypted-x", traits{Signed: true, Members: true, ClientEvents: true}},
		{"encrypted cache later is only encrypted", "private-encrypted-x-cache-", traits{Signed: true}},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, traitsOf(channel.KindOf(test.name))); diff != "" {
				t.Errorf("kind of %q (-want +got):\n%s", test.name, diff)
			}
		})
	}
}

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
		if channel.KindOf(name).IsUser() {
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
