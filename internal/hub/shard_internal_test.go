package hub

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
)

// visitor is a connection that notes its visits.
type visitor struct {
	Subscriber
	sub    Subscription
	number int
	visits *[]int
}

func (v *visitor) WriteSegments([]bufpool.Segment) { *v.visits = append(*v.visits, v.number) }
func (*visitor) IsCongested(int) bool              { return false }

// TestChangesDuringARound changes a list between the visits, where the flusher gives the lock
// away.
func TestChangesDuringARound(t *testing.T) {
	t.Parallel()
	tick, news := protocol.NewFilter([]string{"tick"}), protocol.NewFilter([]string{"news"})
	tests := map[string]struct {
		at     int // after how many visits
		change func(c []*visitor)
		want   []int // visits; the last place comes first, and takes the place of one that goes
	}{
		"nothing changes":             {0, func([]*visitor) {}, []int{4, 3, 2, 1, 0}},
		"the next one closes":         {2, func(c []*visitor) { c[2].sub.Close() }, []int{4, 3, 1, 0}},
		"the next two close":          {2, func(c []*visitor) { c[2].sub.Close(); c[1].sub.Close() }, []int{4, 3, 0}},
		"the current one closes":      {2, func(c []*visitor) { c[3].sub.Close() }, []int{4, 3, 2, 1, 0}},
		"the first one closes":        {2, func(c []*visitor) { c[4].sub.Close() }, []int{4, 3, 2, 1, 0}},
		"the last one closes":         {1, func(c []*visitor) { c[0].sub.Close() }, []int{4, 2, 1, 3}},
		"the last one closes at last": {4, func(c []*visitor) { c[0].sub.Close() }, []int{4, 3, 2, 1}},
		"all close":                   {1, closeAll, []int{4}},
		"one detaches":                {1, func(c []*visitor) { c[2].Detach() }, []int{4, 3, 1, 0}},
		"the next one opens again": {2, func(c []*visitor) {
			c[2].sub.Close()
			c[2].Subscribe(&c[2].sub, new(benchTopic(0)))
		}, []int{4, 3, 1, 0}},
		"the next one filters it out":            {2, func(c []*visitor) { setFilters(c, news, 2) }, []int{4, 3, 1, 0}},
		"the next one moves":                     {2, func(c []*visitor) { setFilters(c, tick, 2) }, []int{4, 3, 1, 0, 2}},
		"the last one moves":                     {1, func(c []*visitor) { setFilters(c, tick, 0) }, []int{4, 2, 1, 3, 0}},
		"one moves that has been visited":        {2, func(c []*visitor) { setFilters(c, tick, 4) }, []int{4, 3, 2, 1, 0}},
		"some move together":                     {2, func(c []*visitor) { setFilters(c, tick, 4, 1, 2) }, []int{4, 3, 0, 2, 1}},
		"the next one moves and comes back":      {2, func(c []*visitor) { setFilters(c, tick, 2); setFilters(c, nil, 2) }, []int{4, 3, 2, 1, 0}},
		"a visited one moves and comes back":     {2, func(c []*visitor) { setFilters(c, tick, 4); setFilters(c, nil, 4) }, []int{4, 3, 2, 1, 0}},
		"the next one moves and closes":          {2, func(c []*visitor) { setFilters(c, tick, 2); c[2].sub.Close() }, []int{4, 3, 1, 0}},
		"all move and one comes back at the end": {4, func(c []*visitor) { setFilters(c, tick, 0, 1, 2, 3, 4); setFilters(c, nil, 0) }, []int{4, 3, 2, 1, 0}},
		"the next one is held and released": {2, func(c []*visitor) {
			c[2].sub.Hold()
			_ = c[2].sub.Release(protocol.Position{})
		}, []int{4, 3, 2, 1, 0}},
		"the next one is held, and released with a filter": {2, func(c []*visitor) {
			c[2].sub.Hold()
			setFilters(c, tick, 2)
			_ = c[2].sub.Release(protocol.Position{})
		}, []int{4, 3, 1, 0, 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{Codecs: [protocol.NumVariants]protocol.Codec{jsonCodec{}}, Shards: 1})
			var got []int
			var conns []*visitor
			for i := range 5 {
				c := &visitor{number: i, visits: &got}
				h.Attach(&c.Subscriber, c, protocol.NewSocketID(), 0)
				c.Subscribe(&c.sub, new(benchTopic(0)))
				_ = c.sub.Release(protocol.Position{})
				conns = append(conns, c)
			}
			f := &h.shards[0].flusher
			f.chunk = 1
			f.atYield = func() {
				if len(got) == tt.at {
					tt.at = -1
					tt.change(conns)
				}
			}
			h.Receive(newBatch(1, 1)[0])
			flush(h)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("visits differ (-want +got):\n%s", diff)
			}
		})
	}
}

func closeAll(conns []*visitor) {
	for _, c := range conns {
		c.sub.Close()
	}
}

func setFilters(conns []*visitor, f *protocol.Filter, which ...int) {
	for _, i := range which {
		_ = conns[i].sub.SetFilter(f)
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
			f.sort()
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
			if len(f.groups) != 0 || h.waiting.Used() != 0 {
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
		if n := h.topics.stripes[i].len(); n != 0 {
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
			if n := sh.inbox.Len(); n != want[i] {
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
	if n := h.topics.stripe(&topic).len(); n != 0 {
		t.Errorf("%d lists are left", n)
	}
}
