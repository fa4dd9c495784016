package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

var (
	filterTopics = []string{"a", "b"}
	filterEvents = []string{"tick", "trade", "news", "pusher:x"}
)

// past is everything that was published to one topic; offset o is at o-1.
type past struct {
	mu    sync.Mutex
	names []string
	skips []protocol.SocketID
}

// span is one life of a subscription as its connection saw it: filters[k] was asked for when
// frames[k] frames had come, at the earliest, and ruled alone when settled[k] had, at the
// latest, which was before since[k] was exceeded. filters[0] is the one it was opened with.
type span struct {
	topic          int
	after          uint64
	filters        []*protocol.Filter
	asked, settled []int
	since          []uint64 // what had been published when it was settled
	frames         []uint64
	end            uint64 // what was published until then must have come; 0 when it was closed
}

// chooser is a connection that changes its filters all the time.
type chooser struct {
	hub.Subscriber
	subs [2]hub.Subscription
	turn sync.Mutex // held by the worker that acts on this connection

	mu    sync.Mutex
	open  [2]*span // guarded by mu
	spans []*span  // guarded by mu
	stray []string // frames that came while not subscribed; guarded by mu
}

func (c *chooser) WriteSegments(segs []bufpool.Segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range segs {
		frames, err := payloads(s)
		if err != nil {
			c.stray = append(c.stray, err.Error())
		}
		for _, f := range frames {
			name, text, _ := strings.Cut(f, "/")
			offset, _ := strconv.ParseUint(text, 10, 64)
			if sp := c.open[slices.Index(filterTopics, name)]; sp != nil {
				sp.frames = append(sp.frames, offset)
			} else {
				c.stray = append(c.stray, f)
			}
		}
	}
	runtime.Gosched()
}
func (*chooser) IsCongested(int) bool { return false }

// act opens, closes, holds again or, mostly, filters one subscription anew.
func (c *chooser) act(t *testing.T, r *rand.Rand, all []*past) {
	c.turn.Lock()
	defer c.turn.Unlock()
	i := r.IntN(len(c.subs))
	sub, f := &c.subs[i], randomFilter(r)
	c.mu.Lock()
	sp := c.open[i]
	c.mu.Unlock()
	switch {
	case sp == nil:
		v := protocol.Variant(r.IntN(2))
		if err := c.SubscribeAs(v, sub, new(topic(filterTopics[i])), f); err != nil {
			t.Errorf("SubscribeAs: %v", err)
		}
		c.goLive(t, i, all[i], f)
	case r.IntN(8) == 0:
		sub.Close()
		c.end(i)
	case r.IntN(8) == 0: // what a repeated subscribe to a cache channel does
		sub.Hold()
		c.end(i)
		runtime.Gosched()
		if err := sub.SetFilter(f); err != nil {
			t.Errorf("SetFilter: %v", err)
		}
		c.goLive(t, i, all[i], f)
	default:
		c.mu.Lock()
		sp.filters, sp.asked = append(sp.filters, f), append(sp.asked, len(sp.frames))
		c.mu.Unlock()
		if err := sub.SetFilter(f); err != nil {
			t.Errorf("SetFilter: %v", err)
		}
		c.mu.Lock()
		sp.settled, sp.since = append(sp.settled, len(sp.frames)), append(sp.since, all[i].published())
		c.mu.Unlock()
	}
}

func (c *chooser) goLive(t *testing.T, i int, p *past, f *protocol.Filter) {
	runtime.Gosched()
	after := p.published()
	runtime.Gosched()
	c.mu.Lock()
	c.open[i] = &span{topic: i, after: after, filters: []*protocol.Filter{f}, asked: []int{0}, settled: []int{0}, since: []uint64{0}}
	c.spans = append(c.spans, c.open[i])
	c.mu.Unlock()
	if err := c.subs[i].Release(at(after)); err != nil {
		t.Errorf("Release: %v", err)
	}
}

func (c *chooser) end(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[i] = nil
}

// check finds, for each publication in order, which of the filters can have ruled: none may be
// lost that passes it, none may come that does not. A filter rules from some place between
// asked and settled until the next one does.
func (s *span) check(id protocol.SocketID, p *past) error {
	last := s.end
	if n := len(s.frames); last == 0 && n > 0 {
		last = s.frames[n-1]
	}
	least, came := 0, 0 // the first filter that can rule; frames that have come
	for o := s.after + 1; o <= last; o++ {
		if p.skips[o-1] == id {
			continue
		}
		isHere := came < len(s.frames) && s.frames[came] == o
		from, to := 0, len(s.filters)-1
		for from+1 < len(s.since) && (o > s.since[from+1] || isHere && s.settled[from+1] <= came) {
			from++
		}
		if isHere {
			for to > 0 && s.asked[to] > came {
				to--
			}
			came++
		}
		k := max(least, from)
		for k <= to && s.filters[k].Passes(&protocol.Publication{Event: p.names[o-1]}) != isHere {
			k++
		}
		if k > to {
			return fmt.Errorf("%s/%d, %s, came: %v; no filter from %d to %d says so", filterTopics[s.topic], o, p.names[o-1], isHere, max(least, from), to)
		}
		least = k
	}
	if came != len(s.frames) {
		return fmt.Errorf("%s: of the frames %v only %d are in order, after %d and not for others", filterTopics[s.topic], s.frames, came, s.after)
	}
	return nil
}

func randomFilter(r *rand.Rand) *protocol.Filter {
	var names []string
	for _, e := range filterEvents[:3] {
		if r.IntN(3) == 0 {
			names = append(names, e)
		}
	}
	if len(names) > 0 && r.IntN(2) == 0 { // so that filters are many
		names = append(names, "own-"+strconv.Itoa(r.IntN(randomConnections)))
	}
	return only(names...)
}

// TestRandomFilters changes filters on many connections while publishers publish.
func TestRandomFilters(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := hub.New(hub.Options{Codecs: codecs(), Shards: 2, MaxInboxBytes: 32 << 10, MaxHeld: 1 << 20})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running, workers, publishers sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	all := []*past{{}, {}}
	var conns []*chooser
	for range randomConnections {
		c := new(chooser)
		if !h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher) {
			t.Fatal("Attach refused a fresh id")
		}
		c.act(t, rand.New(rand.NewPCG(seed, 0)), all)
		conns = append(conns, c)
	}
	var isOver atomic.Bool
	for i := range randomWorkers {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 400 {
				conns[r.IntN(len(conns))].act(t, r, all)
			}
		})
	}
	for i := range randomPublishers {
		publishers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(1000+i)))
			for n := 0; n < 5000 && !isOver.Load(); n++ {
				var except protocol.SocketID
				if r.IntN(4) == 0 {
					except = conns[r.IntN(len(conns))].ID()
				}
				if err := h.Reserve(ctx, 100); err != nil {
					t.Errorf("Reserve: %v", err)
				}
				k := r.IntN(len(all))
				all[k].publish(h, filterTopics[k], filterEvents[r.IntN(len(filterEvents))], except)
				runtime.Gosched()
			}
		})
	}
	workers.Wait()
	isOver.Store(true)
	publishers.Wait()
	cancel()
	running.Wait()
	checkSpans(t, conns, all)
}

func (p *past) published() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(len(p.names))
}

func (p *past) publish(h *hub.Hub, name, event string, except protocol.SocketID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names, p.skips = append(p.names, event), append(p.skips, except)
	q := pub(name, uint64(len(p.names)))
	q.Event, q.Except = event, except
	h.Receive(q)
}

func checkSpans(t *testing.T, conns []*chooser, all []*past) {
	frames, changes := 0, 0
	for _, c := range conns {
		if len(c.stray) > 0 {
			t.Errorf("%v got %v while not subscribed", c.ID(), c.stray)
		}
		for i, sp := range c.open {
			if sp != nil {
				sp.end = uint64(len(all[i].names))
			}
		}
		for _, sp := range c.spans {
			frames += len(sp.frames)
			changes += len(sp.filters) - 1
			if err := sp.check(c.ID(), all[sp.topic]); err != nil {
				t.Errorf("%v: %v", c.ID(), err)
			}
		}
	}
	if frames == 0 || changes == 0 {
		t.Error("nothing was delivered or changed at all")
	}
	t.Logf("%d deliveries and %d changes of filters checked", frames, changes)
}
