package view

import (
	"testing"

	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/protocol"
)

func TestViewOfTopic(t *testing.T) {
	t.Parallel()
	for _, view := range []string{"Auction/list", "a:b/c", "7:x"} {
		for _, topic := range []protocol.Topic{
			allTopic("1", view), keyTopic("1", view, "k:1"),
			windowTopic("1", view, derived.Range{Skip: 1, Take: 2}), windowTopic("1", view, derived.Range{IsOther: true}),
		} {
			if got, ok := ViewOfTopic(topic); got != view || !ok {
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
		if got, ok := ViewOfTopic(other); ok {
			t.Errorf("%+v: got %q", other, got)
		}
	}
}
