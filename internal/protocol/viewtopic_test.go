package protocol_test

import (
	"testing"

	"github.com/millrace/millrace/internal/protocol"
)

func TestViewOfTopic(t *testing.T) {
	t.Parallel()
	for _, view := range []string{"Auction/list", "a:b/c", "7:x"} {
		for _, topic := range []protocol.Topic{
			protocol.ViewTopic("1", view), protocol.KeyTopic("1", view, "k:1"),
			protocol.WindowTopic("1", view, "1,2"), protocol.WindowTopic("1", view, "0,0!"),
		} {
			if got, ok := protocol.ViewOfTopic(topic); got != view || !ok {
				t.Errorf("%+v: got %q, %v", topic, got, ok)
			}
		}
	}
	for _, other := range []protocol.Topic{
		{Name: "prices"},
		{Kind: protocol.TopicUser, Name: "4:a/bc"},
		{Kind: protocol.TopicWatch, Name: "4:a/bc"},
		{Kind: protocol.TopicKey},
		{Kind: protocol.TopicKey, Name: "99:x"},
		{Kind: protocol.TopicKey, Name: "-1:x"},
		{Kind: protocol.TopicKey, Name: "x"},
		{Kind: protocol.TopicWindow, Name: "1"},
		{Kind: protocol.NumTopicKinds, Name: "4:a/bc"},
	} {
		if got, ok := protocol.ViewOfTopic(other); ok {
			t.Errorf("%+v: got %q", other, got)
		}
	}
}
