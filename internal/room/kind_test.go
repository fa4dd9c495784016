package room_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// traits are what a Kind answers.
type traits struct {
	Signed, Members, Cache, ClientEvents bool
}

func traitsOf(k room.Kind) traits {
	return traits{k.NeedsSignature(), k.HasMembers(), k.HasCache(), k.AllowsClientEvents()}
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
			if diff := cmp.Diff(test.want, traitsOf(room.KindOf(test.name))); diff != "" {
				t.Errorf("kind of %q (-want +got):\n%s", test.name, diff)
			}
		})
	}
}

// TestOnlyChannelsHaveAKind: a user's id may begin as the name of a channel does.
func TestOnlyChannelsHaveAKind(t *testing.T) {
	t.Parallel()
	for kind := range protocol.NumTopicKinds {
		topic := protocol.Topic{App: "77", Kind: kind, Name: "presence-cache-x"}
		want := traits{}
		if kind == protocol.TopicChannel {
			want = traits{Signed: true, Members: true, Cache: true, ClientEvents: true}
		}
		if got := traitsOf(room.KindOfTopic(&topic)); got != want {
			t.Errorf("%s: got %+v, want %+v", kind, got, want)
		}
		if r := room.New(&topic); traitsOf(r.Kind()) != want {
			t.Errorf("%s: the room has %+v, want %+v", kind, traitsOf(r.Kind()), want)
		}
	}
}
