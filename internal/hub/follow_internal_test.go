package hub

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/missed"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	modelTopics = 3    // that are followed; one more is a channel
	modelBytes  = 1000 // that may wait before a connection is congested
	modelOwnLag = 800  // enough for the keys that two of the topics have
)

// placeCodec writes a publication as "topic/offset" and its data.
type placeCodec struct{ protocol.Codec }

func (placeCodec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	return fmt.Appendf(dst, "%s/%d/%s", p.Topic.Name, p.Position.Offset, p.Data)
}

func (placeCodec) IsBinary(protocol.MessageKind) bool { return true }

// feed is the order of one topic. received is how much of it the flusher has delivered.
type feed struct {
	pubs     []*protocol.Publication // by offset, from 1
	received uint64
}

// follower is one subscription made by Follow, and what its owner knows about it.
type follower struct {
	sub    Subscription
	isOpen bool
	isHeld bool
	first  uint64 // the feed's offset at Follow: what was delivered before is not its affair
	last   uint64 // offset delivered last, or covered
}

// slowConn queues what it is given until the test drains it.
type slowConn struct {
	Subscriber
	t         *rapid.T
	queued    int
	isToDrain bool
	followers [modelTopics]follower
	channel   *Subscription // not made by Follow; nil when it has none
	heard     uint64        // by channel
}

func (c *slowConn) IsCongested(more int) bool {
	if c.queued == 0 || c.queued+more <= modelBytes {
		return false
	}
	c.isToDrain = true
	return true
}

// WriteSegments expects the next offset of each topic, and never more than may wait.
func (c *slowConn) WriteSegments(segs []bufpool.Segment) {
	before := c.queued
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			h, n, _ := websocket.ParseHeader(b)
			c.take(string(b[n : n+h.Length]))
			b = b[n+h.Length:]
		}
		c.queued += s.End - s.Start
	}
	if c.channel == nil && before > 0 && c.queued > modelBytes {
		c.t.Fatalf("%d bytes wait, %d of them before the last write", c.queued, before)
	}
}

func (c *slowConn) take(frame string) {
	parts := strings.SplitN(frame, "/", 3)
	topic, _ := strconv.Atoi(parts[0])
	offset, _ := strconv.ParseUint(parts[1], 10, 64)
	last := &c.heard
	if topic < modelTopics {
		f := &c.followers[topic]
		if last = &f.last; !f.isOpen || f.isHeld {
			c.t.Fatalf("got %.10s while not live", frame)
		}
	}
	if *last++; offset != *last {
		c.t.Fatalf("got %.10s, want offset %d", frame, *last)
	}
}

// followModel is a hub that delivers when it is told to, with slow connections.
type followModel struct {
	h      *Hub
	feeds  [modelTopics + 1]feed
	conns  []*slowConn
	number uint64 // of changes
}

func newFollowModel(t *rapid.T) *followModel {
	m := &followModel{h: New(Options{
		Codecs: [protocol.NumVariants]protocol.Codec{placeCodec{}}, Shards: 1, MaxHeld: 4,
		MaxLagBytes: rapid.SampledFrom([]int{100, 1 << 20}).Draw(t, "lag"),
		MaxOwnLag:   rapid.SampledFrom([]int{modelOwnLag, 1 << 20}).Draw(t, "own lag"),
	})}
	for range 2 {
		c := &slowConn{t: t}
		m.h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
		m.conns = append(m.conns, c)
	}
	c := m.conns[0]
	c.channel = new(Subscription)
	c.Subscribe(c.channel, new(modelTopic(modelTopics)))
	_ = c.channel.Release(protocol.Position{Epoch: 1})
	stayer := &sink{subs: make([]Subscription, modelTopics)} // so that everything is received
	m.h.Attach(&stayer.Subscriber, stayer, protocol.NewSocketID(), protocol.VariantPusher)
	for i := range stayer.subs {
		stayer.Subscribe(&stayer.subs[i], new(modelTopic(i)))
		_ = stayer.subs[i].Release(protocol.Position{Epoch: 1})
	}
	return m
}

func modelTopic(i int) protocol.Topic { return protocol.Topic{Name: strconv.Itoa(i)} }

func (m *followModel) publish(t *rapid.T) {
	i := rapid.IntRange(0, modelTopics).Draw(t, "topic")
	for range rapid.IntRange(1, 6).Draw(t, "n") {
		if rapid.Bool().Draw(t, "next batch") {
			m.number++
		}
		f := &m.feeds[i]
		p := &protocol.Publication{
			Topic: modelTopic(i), Kind: protocol.KindChange,
			Position: protocol.Position{Epoch: 1, Offset: uint64(len(f.pubs) + 1)},
			Data:     make([]byte, rapid.IntRange(0, 400).Draw(t, "size")),
			Change:   &protocol.Change{Number: m.number, Key: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")},
		}
		f.pubs = append(f.pubs, p)
		m.h.Receive(p)
	}
}

func (m *followModel) flush(t *rapid.T) {
	flush(m.h)
	for i := range m.feeds {
		m.feeds[i].received = uint64(len(m.feeds[i].pubs))
	}
	m.check(t)
}

func (m *followModel) pick(t *rapid.T) (*slowConn, int) {
	return m.conns[rapid.IntRange(0, 1).Draw(t, "conn")], rapid.IntRange(0, modelTopics-1).Draw(t, "topic")
}

// toggle follows, releases or closes.
func (m *followModel) toggle(t *rapid.T) {
	c, i := m.pick(t)
	f := &c.followers[i]
	switch {
	case !f.isOpen:
		m.follow(c, i)
	case f.isHeld:
		m.release(t, c, i, f.first+rapid.Uint64Range(0, uint64(len(m.feeds[i].pubs))-f.first).Draw(t, "covered"))
	default:
		f.sub.Close()
		f.isOpen = false
	}
}

func (m *followModel) follow(c *slowConn, i int) {
	f := &c.followers[i]
	c.Follow(&f.sub, new(modelTopic(i)))
	f.isOpen, f.isHeld, f.first = true, true, m.feeds[i].received
}

// release goes live after an offset.
func (m *followModel) release(t *rapid.T, c *slowConn, i int, after uint64) {
	f := &c.followers[i]
	f.isHeld, f.last = false, after
	isOver := m.feeds[i].received > f.first+4 && m.feeds[i].received > after
	err := f.sub.Release(protocol.Position{Epoch: 1, Offset: after})
	if errors.Is(err, ErrLagging) != isOver {
		t.Fatalf("Release after %d = %v, held from %d to %d", after, err, f.first, m.feeds[i].received)
	}
	if !isOver {
		return
	}
	lag, isLagging := f.sub.Lag()
	first := m.feeds[i].pubs[f.first] // what came during the hold is all noted
	if !isLagging || lag.From != first.Change.Number {
		t.Fatalf("lag %+v, %v, want one from %d", lag, isLagging, first.Change.Number)
	}
	m.catchUp(t, c, i)
}

// drain empties the queue and brings up to date what lags, if the connection was congested.
func (m *followModel) drain(t *rapid.T) {
	c, _ := m.pick(t)
	c.queued = 0
	isToDrain := c.isToDrain
	c.isToDrain = false
	for i := range c.followers {
		f := &c.followers[i]
		if !f.isOpen || f.isHeld {
			continue
		}
		_, isLagging := f.sub.Lag()
		if isLagging && !isToDrain {
			t.Fatalf("topic %d lags and nobody is told", i)
		}
		if isLagging {
			m.catchUp(t, c, i)
		}
	}
}

// catchUp reads the state again and follows anew.
func (m *followModel) catchUp(t *rapid.T, c *slowConn, i int) {
	f := &c.followers[i]
	f.sub.Close()
	m.follow(c, i)
	m.release(t, c, i, uint64(len(m.feeds[i].pubs)))
}

// check compares every subscription with what was delivered to all.
func (m *followModel) check(t *rapid.T) {
	for _, c := range m.conns {
		if n := m.feeds[modelTopics].received; c.channel != nil && c.heard != n {
			t.Fatalf("the channel heard %d of %d", c.heard, n)
		}
		for i := range c.followers {
			if f := &c.followers[i]; f.isOpen && !f.isHeld {
				m.checkFollower(t, f, &m.feeds[i])
			}
		}
		m.checkLag(t, c)
	}
}

// checkLag expects what is noted for a connection to be counted, and bounded.
func (m *followModel) checkLag(t *rapid.T, c *slowConn) {
	noted := 0
	for i := range c.followers {
		if h := c.followers[i].sub.hold; h != nil {
			noted += h.missed.Size()
		}
	}
	if noted != int(c.lag) || noted > m.h.maxOwnLag {
		t.Fatalf("%d bytes are noted, counted as %d, of at most %d", noted, c.lag, m.h.maxOwnLag)
	}
}

// checkFollower expects what was delivered and what was noted to be everything.
func (m *followModel) checkFollower(t *rapid.T, f *follower, feed *feed) {
	lag, isLagging := f.sub.Lag()
	if f.last >= feed.received {
		if isLagging {
			t.Fatalf("lags with everything delivered: %+v", lag)
		}
		return
	}
	missing := feed.pubs[f.last:feed.received]
	if !isLagging {
		t.Fatalf("does not lag, and got %d of %d", f.last, feed.received)
	}
	keys := map[string]struct{}{}
	for _, p := range missing {
		keys[p.Change.Key] = struct{}{}
	}
	if from, to := missing[0].Change.Number, missing[len(missing)-1].Change.Number; lag.From != from || lag.To != to {
		t.Fatalf("lag from %d to %d, want %d to %d", lag.From, lag.To, from, to)
	}
	isOverflow := len(keys)*(1+missed.KeyBytes) > m.h.maxLag
	if m.h.maxOwnLag == modelOwnLag { // also because of what the other subscriptions miss
		isOverflow = isOverflow || lag.IsOverflow
	}
	if isOverflow != lag.IsOverflow || !isOverflow && !maps.Equal(keys, lag.Keys) || isOverflow && lag.Keys != nil {
		t.Fatalf("noted %v (overflow %v), want %v", slices.Sorted(maps.Keys(lag.Keys)), lag.IsOverflow, slices.Sorted(maps.Keys(keys)))
	}
}

// TestFollowersGetOrNoteEverything does random operations on subscriptions made by Follow.
func TestFollowersGetOrNoteEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newFollowModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"publish": m.publish,
			"flush":   m.flush,
			"toggle":  m.toggle,
			"drain":   m.drain,
		})
		m.flush(t)
		for _, c := range m.conns {
			c.Detach()
			m.checkLag(t, c)
		}
		if n := m.h.waiting.Used(); n != 0 {
			t.Fatalf("%d bytes of the inbox are still in use", n)
		}
	})
}

// newFollowers is newBench with subscriptions made by Follow.
func newFollowers(tb testing.TB, topics, connections, each int) (*Hub, []*sink) {
	h, conns := newBench(tb, topics, connections, each)
	for i, c := range conns {
		for j := range c.subs {
			c.subs[j].Close()
			c.Follow(&c.subs[j], new(benchTopic((i*each+j)%topics)))
			if err := c.subs[j].Release(protocol.Position{}); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return h, conns
}

func TestFollowAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	tests := map[string]struct{ topics, connections, each, batch int }{
		"one change to a thousand connections": {1, 1000, 1, 1},
		"a batch to a thousand connections":    {1, 1000, 1, 32},
		"connections that follow several":      {20, 100, 5, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, conns := newFollowers(t, tt.topics, tt.connections, tt.each)
			conns[0].subs[0].setStateLocked(lagging) // and misses nothing new
			conns[0].subs[0].hold = &hold{missed: (*missed.Notes)(nil).Add(newBatch(1, 1)[0], 1<<20)}
			batch := newBatch(tt.topics, tt.batch)
			deliver := func() {
				for _, p := range batch {
					h.Receive(p)
				}
				flush(h)
			}
			deliver()
			deliver()
			if got := testing.AllocsPerRun(50, deliver); got != 0 {
				t.Errorf("%v allocations per batch, want none", got)
			}
			if frames, bytes := conns[1].subs[0].Sent(); frames == 0 || bytes == 0 {
				t.Error("nothing was delivered")
			}
		})
	}
}

// BenchmarkFollow is BenchmarkBroadcast, and BenchmarkTopics with several each, for
// subscriptions made by Follow.
func BenchmarkFollow(b *testing.B) {
	b.Run("subs=2000/batch=1", func(b *testing.B) {
		h, conns := newFollowers(b, 1, 2000, 1)
		measure(b, h, conns, newBatch(1, 1))
	})
	b.Run("topics=100/subs=100/each=4", func(b *testing.B) {
		h, conns := newFollowers(b, 100, 100, 4)
		measure(b, h, conns, newBatch(100, 1))
	})
}

func TestASubscriptionIsSmall(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(list{}); n > 64 {
		t.Errorf("a list has %d bytes, want at most 64: topics with one subscriber are many", n)
	}
	if n := unsafe.Sizeof(Subscription{}); n > 72 {
		t.Errorf("a Subscription has %d bytes, want at most 72: its owner in package channel has room for that", n)
	}
}
