package view

import (
	"testing"

	"github.com/millrace/millrace/internal/derived"
)

func TestViewOfTopic(t *testing.T) {
	t.Parallel()
	for _, view := range []string{"Auction/list", "a:b/c", "7:x"} {
		for _, topic := range []string{
			allTopic("1", view).Name, keyTopic("1", view, "k:1").Name,
			windowTopic("1", view, derived.Range{Skip: 1, Take: 2}).Name, windowTopic("1", view, derived.Range{IsOther: true}).Name,
		} {
			if got, ok := ViewOfTopic(topic); got != view || !ok {
				t.Errorf("%q: got %q, %v", topic, got, ok)
			}
		}
	}
	for _, other := range []string{"prices", "view\x00", "view\x00k99:x", "view\x00kx", "view\x00w1"} {
		if got, ok := ViewOfTopic(other); ok {
			t.Errorf("%q: got %q", other, got)
		}
	}
}
