package bustest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// batchOf makes one retained publication for each of some topics.
func batchOf(names []string) (items []bus.Item) {
	for _, name := range names {
		items = append(items, bus.Item{Publication: &protocol.Publication{Topic: topic(name), Event: "of a batch"}, Retain: time.Minute})
	}
	return items
}

// unchanged runs fn, which publishes to topics in vain: nothing of it is kept, counted or received in any of them.
func (n *node) unchanged(t *testing.T, names []string, what string, fn func()) {
	t.Helper()
	before := map[string]bus.State{}
	for _, name := range names {
		before[name] = n.state(t, topic(name))
	}
	fn()
	for _, name := range names {
		if st := n.state(t, topic(name)); st.Position != before[name].Position || st.Retained != nil {
			t.Errorf("%s: the state of %s is %+v, want nothing at %v", what, name, st, before[name].Position)
		}
	}
}

func refusesBatches(t *testing.T, n *node) {
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		n.join(t, topic(name))
	}
	bad := map[string]bus.Item{
		"no publication": {Retain: time.Minute},
		"no name":        {Publication: &protocol.Publication{Topic: protocol.Topic{App: "bustest"}, Event: "of no topic"}},
	}
	for what, item := range bad {
		for at := range len(names) + 1 {
			n.unchanged(t, names, what, func() {
				items := slices.Insert(batchOf(names), at, item)
				if _, err := n.Publish(t.Context(), &bus.Batch{Items: items}); err == nil || errors.Is(err, bus.ErrUncertain) {
					t.Errorf("%s at %d: Publish = %v, want a refusal", what, at, err)
				}
			})
		}
	}
	for _, name := range names {
		expectEvents(t, n.await(t, topic(name), n.publish(t, topic(name), "end", 0)), "end")
	}
}

func leavesNothingWithoutRoom(t *testing.T, n *node) {
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		n.join(t, topic(name))
	}
	n.unchanged(t, names, "without room", func() {
		n.setFull(true)
		defer n.setFull(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := n.Publish(ctx, &bus.Batch{Items: batchOf(names)}); !errors.Is(err, bus.ErrBackpressure) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish = %v, want ErrBackpressure, or that the context has ended", err)
		}
	})
	items := batchOf(names)
	n.publishAll(t, items...)
	for i, name := range names {
		expectEvents(t, n.await(t, topic(name), items[i].Publication.Position), "of a batch")
	}
}
