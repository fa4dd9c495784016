package access_test

import (
	"testing"

	"github.com/millrace/millrace/internal/access"
)

func TestClearances(t *testing.T) {
	t.Parallel()
	levels := []access.Level{0, access.Public, access.Token, access.Server}
	for _, clearance := range levels {
		for _, level := range levels {
			want := level != 0 && clearance >= level
			if got := clearance.May(level); got != want {
				t.Errorf("a clearance of %q for a level of %q: %v", clearance, level, got)
			}
		}
	}
	for _, level := range levels[1:] {
		if got, ok := access.Parse(level.String()); got != level || !ok {
			t.Errorf("Parse(%q) = %v, %v", level, got, ok)
		}
	}
	for _, word := range []string{"", "Public", "none"} {
		if _, ok := access.Parse(word); ok {
			t.Errorf("%q is a level", word)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	if got := new(access.Rules).Of("Auction/list"); got != access.Server {
		t.Errorf("without rules: %v", got)
	}
	r := access.NewRules([]access.Rule{
		{Views: "Auction/state", Level: access.Server},
		{Views: "Auction/*", Level: access.Token},
		{Views: "*/append", Level: access.Public},
	}, access.Server)
	for view, want := range map[string]access.Level{
		"Auction/state":  access.Server,
		"Auction/list":   access.Token,
		"Auction/append": access.Token, // the first rule counts
		"Bid/append":     access.Public,
		"Bid/list":       access.Server,
		"auction/list":   access.Server,
	} {
		if got := r.Of(view); got != want {
			t.Errorf("%s: %v, want %v", view, got, want)
		}
	}
	if !r.HasPublic() || access.NewRules(nil, access.Token).HasPublic() || !access.NewRules(nil, access.Public).HasPublic() {
		t.Error("HasPublic")
	}
}
