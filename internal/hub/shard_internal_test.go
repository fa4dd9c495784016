package hub

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
)

// TestWalk changes a list between the visits, as others may when the walk gives the lock
// away.
func TestWalk(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		at     int // after how many visits
		change func(subs []*Subscription)
		want   []int // subscriptions visited; they are visited newest, the highest, first
	}{
		"nothing changes":             {0, func([]*Subscription) {}, []int{4, 3, 2, 1, 0}},
		"the next one closes":         {2, func(s []*Subscription) { s[2].Close() }, []int{4, 3, 1, 0}},
		"the next two close":          {2, func(s []*Subscription) { s[2].Close(); s[1].Close() }, []int{4, 3, 0}},
		"the current one closes":      {2, func(s []*Subscription) { s[3].Close() }, []int{4, 3, 2, 1, 0}},
		"the first one closes":        {2, func(s []*Subscription) { s[4].Close() }, []int{4, 3, 2, 1, 0}},
		"the last one closes":         {1, func(s []*Subscription) { s[0].Close() }, []int{4, 3, 2, 1}},
		"the last one closes at last": {4, func(s []*Subscription) { s[0].Close() }, []int{4, 3, 2, 1}},
		"all close":                   {1, func(s []*Subscription) { closeAll(s) }, []int{4}},
		"one detaches":                {1, func(s []*Subscription) { s[2].subscriber.Detach() }, []int{4, 3, 1, 0}},
		"the next one opens again": {2, func(s []*Subscription) {
			s[2].Close()
			s[2].subscriber.Subscribe(s[2], new(benchTopic(0)))
		}, []int{4, 3, 1, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{Shards: 1})
			var subs []*Subscription
			for range 5 {
				s := new(Subscriber)
				h.Attach(s, nil, protocol.NewSocketID(), 0)
				sub := new(Subscription)
				s.Subscribe(sub, new(benchTopic(0)))
				subs = append(subs, sub)
			}
			sh := h.shards[0]
			var got []int
			pause := func() {
				if len(got) == tt.at {
					sh.mu.Unlock()
					tt.change(subs)
					sh.mu.Lock()
				}
			}
			sub := sh.walk(subs[0].list)
			for ; sub != nil; sub = sh.step() {
				got = append(got, slices.Index(subs, sub))
				pause()
			}
			sh.mu.Unlock()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("visits differ (-want +got):\n%s", diff)
			}
		})
	}
}

func closeAll(subs []*Subscription) {
	for _, s := range subs {
		s.Close()
	}
}

// TestCloseBetweenCollectAndDeliver ends subscriptions after the round has noted them.
func TestCloseBetweenCollectAndDeliver(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(c *sink)
		want   int // frames delivered
	}{
		"nothing changes":         {func(*sink) {}, 2},
		"the small topic closes":  {func(c *sink) { c.subs[0].Close() }, 1},
		"the large topic closes":  {func(c *sink) { c.subs[1].Close() }, 1},
		"the connection goes":     {func(c *sink) { c.Detach() }, 0},
		"a topic is opened again": {func(c *sink) { c.subs[1].Close(); c.Subscribe(&c.subs[1], new(benchTopic(1))) }, 1},
		"a third topic is opened": {func(c *sink) { c.Subscribe(&c.subs[2], new(benchTopic(1))) }, 2},
		"both are opened crosswise": {func(c *sink) {
			c.subs[0].Close()
			c.subs[1].Close()
			c.Subscribe(&c.subs[0], new(benchTopic(1)))
			c.Subscribe(&c.subs[1], new(benchTopic(0)))
		}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{Codecs: [protocol.NumVariants]protocol.Codec{jsonCodec{}}, Shards: 1})
			c := &sink{subs: make([]Subscription, 3)}
			h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
			other := &sink{subs: make([]Subscription, 1)}
			h.Attach(&other.Subscriber, other, protocol.NewSocketID(), protocol.VariantPusher)
			for i, s := range []*sink{c, c, other} {
				sub := &s.subs[i%2]
				s.Subscribe(sub, new(benchTopic(min(i, 1))))
				_ = sub.Release(protocol.Position{})
			}
			for _, p := range newBatch(2, 1) {
				h.Receive(p)
			}
			f := &h.shards[0].flusher
			f.take(false)
			f.cut()
			f.collect()
			tt.change(c)
			for i := range f.groups {
				f.deliver(&f.groups[i])
				f.finishGroup(&f.groups[i])
			}
			f.finish()
			if c.frames != tt.want || c.writes > 1 {
				t.Errorf("%d frames in %d writes, want %d in at most one", c.frames, c.writes, tt.want)
			}
			if other.frames != 1 {
				t.Errorf("the other connection got %d frames, want 1", other.frames)
			}
			if f.free == 0 || len(f.groups) != 0 || h.room.used.Load() != 0 {
				t.Error("the round left something behind")
			}
		})
	}
}

func TestTopicsVanishWithTheirLastSubscription(t *testing.T) {
	t.Parallel()
	h, conns := newBench(t, 300, 100, 6)
	for _, c := range conns[:50] {
		for i := range c.subs {
			c.subs[i].Close()
		}
	}
	for _, c := range conns[50:] {
		c.Detach()
	}
	for i := range h.topics.stripes {
		if n := h.topics.stripes[i].lists.Len(); n != 0 {
			t.Fatalf("stripe %d still has %d lists", i, n)
		}
	}
}

// TestListsOfATopicHangInOneChain takes them out of its middle, from its front and at last.
func TestListsOfATopicHangInOneChain(t *testing.T) {
	t.Parallel()
	h := New(Options{Shards: 4})
	topic := benchTopic(0)
	var lists []*list
	for i := range h.shards {
		lists = append(lists, h.topics.acquire(&topic, i))
	}
	if h.topics.acquire(new(benchTopic(0)), 1) != lists[1] {
		t.Fatal("a second subscription made a second list")
	}
	h.topics.release(lists[1])
	want := []int{1, 1, 1, 1} // publications that each shard has received
	receive := func() {
		t.Helper()
		h.Receive(newBatch(1, 1)[0])
		for i, sh := range h.shards {
			if n := len(sh.inbox.items); n != want[i] {
				t.Errorf("inbox %d has %d publications, want %d", i, n, want[i])
			}
		}
	}
	receive()
	for _, gone := range []int{2, 0, 3, 1} {
		h.topics.release(lists[gone])
		lists[gone] = nil
		for i, l := range lists {
			if l != nil {
				want[i]++
			}
		}
		receive()
	}
	if n := h.topics.stripe(topic).lists.Len(); n != 0 {
		t.Errorf("%d lists are left", n)
	}
}
