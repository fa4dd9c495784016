package protocol_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/protocol"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	event := func(name string) protocol.Publication { return protocol.Publication{Event: name} }
	long := strings.Repeat("x", 300)
	tests := []struct {
		name   string
		filter []string
		p      protocol.Publication
		want   bool
	}{
		{"no filter passes every event", nil, event("tick"), true},
		{"an empty list passes every event", []string{}, event("tick"), true},
		{"an event that is named passes", []string{"trade", "tick"}, event("tick"), true},
		{"an event that is not named does not", []string{"trade", "tick"}, event("news"), false},
		{"the beginning of a name is not the name", []string{"ticker"}, event("tick"), false},
		{"more than a name is not the name", []string{"tick"}, event("ticker"), false},
		{"names are case-sensitive", []string{"tick"}, event("Tick"), false},
		{"a name given twice", []string{"tick", "tick"}, event("tick"), true},
		{"names of all lengths", []string{long, "", "a", long + "y"}, event(long), true},
		{"the empty name", []string{"a", ""}, event(""), true},
		{"a client event that is named", []string{"client-a"}, event("client-a"), true},
		{"a client event that is not", []string{"a"}, event("client-a"), false},
		{"an event of the protocol always passes", []string{"tick"}, event("pusher:cache_miss"), true},
		{"an internal one too", []string{"tick"}, event("pusher_internal:member_added"), true},
		{"a name that only looks like one does not", []string{"tick"}, event("pusher-x"), false},
		{"a member that is added passes", []string{"tick"}, protocol.Publication{Kind: protocol.KindMemberAdded}, true},
		{"a member that is removed passes", []string{"tick"}, protocol.Publication{Kind: protocol.KindMemberRemoved}, true},
		{"a count passes", []string{"tick"}, protocol.Publication{Kind: protocol.KindSubscriptionCount}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := protocol.NewFilter(tt.filter).Passes(&tt.p); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFilterKey(t *testing.T) {
	t.Parallel()
	key := func(names ...string) string { return protocol.NewFilter(names).Key() }
	if key("a", "b") != key("b", "a", "b") {
		t.Error("the same names in another order have another key")
	}
	different := [][]string{
		{"a", "b"}, {"ab"}, {"a"}, {"a", "b", ""}, {"a\x01b"}, {""}, {strings.Repeat("a", 127)}, {strings.Repeat("a", 128)},
	}
	seen := map[string]int{}
	for i, names := range different {
		k := key(names...)
		if j, ok := seen[k]; ok {
			t.Errorf("%q and %q have the same key", names, different[j])
		}
		seen[k] = i
	}
}
