package protocol_test

import (
	"testing"
	"unsafe"

	"github.com/millrace/millrace/internal/protocol"
)

func TestChannelTopic(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]protocol.Topic{
		"prices":             {App: "77", Name: "prices"},
		"presence-x":         {App: "77", Name: "presence-x"},
		"#server-to-user-9":  {App: "77", Kind: protocol.TopicUser, Name: "9"},
		"#server-to-user-":   {App: "77", Kind: protocol.TopicUser},
		"#server-to-users-9": {App: "77", Name: "#server-to-users-9"},
	} {
		if got := protocol.ChannelTopic("77", name); got != want {
			t.Errorf("%q: got %+v, want %+v", name, got, want)
		}
	}
}

// TestTopicKinds: logs have the numbers.
func TestTopicKinds(t *testing.T) {
	t.Parallel()
	want := []string{"channel", "user", "watch", "view", "key", "window", "kind 6"}
	for k, word := range want {
		if got := protocol.TopicKind(k).String(); got != word {
			t.Errorf("kind %d is %q, want %q", k, got, word)
		}
	}
	if int(protocol.NumTopicKinds) != len(want)-1 {
		t.Errorf("%d kinds, want %d", protocol.NumTopicKinds, len(want)-1)
	}
}

// TestPublicationSize: a published event is one object of the size class of 192 bytes, together with
// its batch and its item.
func TestPublicationSize(t *testing.T) {
	t.Parallel()
	if got := unsafe.Sizeof(protocol.Publication{}); got > 152 {
		t.Errorf("a publication takes %d bytes, want at most 152", got)
	}
}
