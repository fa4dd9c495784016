package hub

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
)

// jsonCodec costs about what a real codec costs.
type jsonCodec struct{ protocol.Codec }

func (jsonCodec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	dst = append(dst, `{"event":`...)
	dst = strconv.AppendQuote(dst, p.Event)
	dst = append(dst, `,"channel":`...)
	dst = strconv.AppendQuote(dst, p.Topic.Name)
	dst = append(dst, `,"data":`...)
	return append(append(dst, p.Data...), '}')
}

func (jsonCodec) IsBinary(protocol.MessageKind) bool { return false }

// sink is a connection that counts.
type sink struct {
	Subscriber
	subs           []Subscription
	frames, writes int
}

func (s *sink) WriteSegments(segs []bufpool.Segment) {
	for i := range segs {
		s.frames += segs[i].Frames
	}
	s.writes++
}
func (*sink) IsCongested(int) bool { return false }

// newBench makes a hub that does not run, with connections that have several live
// subscriptions each: connection i has subscriptions i*each to i*each+each-1 of topics,
// modulo their number.
func newBench(tb testing.TB, topics, connections, each int) (*Hub, []*sink) {
	tb.Helper()
	h := New(Options{Codecs: [protocol.NumVariants]protocol.Codec{jsonCodec{}}, Shards: 2, MaxInboxBytes: 1 << 30})
	var conns []*sink
	for i := range connections {
		c := &sink{subs: make([]Subscription, each)}
		if !h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher) {
			tb.Fatal("Attach refused a fresh id")
		}
		for j := range c.subs {
			c.Subscribe(&c.subs[j], new(benchTopic((i*each+j)%topics)))
			if err := c.subs[j].Release(protocol.Position{}); err != nil {
				tb.Fatal(err)
			}
		}
		conns = append(conns, c)
	}
	return h, conns
}

func benchTopic(i int) protocol.Topic {
	return protocol.Topic{App: "app", Name: fmt.Sprintf("channel-%d", i)}
}

// newBatch makes n publications for each topic.
func newBatch(topics, n int) []*protocol.Publication {
	var batch []*protocol.Publication
	data := fmt.Appendf(nil, "%q", make([]byte, 32))
	for range n {
		for i := range topics {
			batch = append(batch, &protocol.Publication{
				Topic: benchTopic(i), Position: protocol.Position{Epoch: 1, Offset: uint64(len(batch) + 1)},
				Event: "tick", Data: data,
			})
		}
	}
	return batch
}

// flush does the flushers' work on this goroutine, so that all of it is measured.
func flush(h *Hub) {
	for _, sh := range h.shards {
		sh.flusher.drain(false)
	}
}

func TestBroadcastAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	tests := map[string]struct{ topics, connections, each, batch int }{
		"one publication to a thousand connections": {1, 1000, 1, 1},
		"a batch to a thousand connections":         {1, 1000, 1, 32},
		"a hundred topics with one subscriber each": {100, 100, 1, 1},
		"connections with several topics":           {20, 100, 5, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, conns := newBench(t, tt.topics, tt.connections, tt.each)
			batch := newBatch(tt.topics, tt.batch)
			batch[0].Except = conns[0].ID()
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
			if conns[1].frames == 0 {
				t.Error("nothing was delivered")
			}
		})
	}
}

// BenchmarkBroadcast measures everything between the bus and the connection's write, on one
// goroutine: the connections only count.
func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("subs=2000/batch=%d", n), func(b *testing.B) { benchmark(b, 1, 2000, 1, n) })
	}
}

// BenchmarkTopics is a batch of many topics.
func BenchmarkTopics(b *testing.B) {
	for _, each := range []int{1, 4} {
		b.Run(fmt.Sprintf("topics=100/subs=100/each=%d", each), func(b *testing.B) { benchmark(b, 100, 100, each, 1) })
	}
}

func benchmark(b *testing.B, topics, connections, each, n int) {
	h, conns := newBench(b, topics, connections, each)
	measure(b, h, conns, newBatch(topics, n))
}

func measure(b *testing.B, h *Hub, conns []*sink, batch []*protocol.Publication) {
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range batch {
			h.Receive(p)
		}
		flush(h)
	}
	frames, writes := 0, 0
	for _, c := range conns {
		frames += c.frames
		writes += c.writes
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/delivery")
	b.ReportMetric(float64(frames)/float64(writes), "deliveries/write")
}

// BenchmarkMemory reports what a connection with one subscription holds in the hub.
func BenchmarkMemory(b *testing.B) {
	const n = 15_000
	for _, topics := range []int{1, n} {
		b.Run(fmt.Sprintf("conns=%d/topics=%d", n, topics), func(b *testing.B) {
			names := make([]protocol.Topic, n)
			ids := make([]protocol.SocketID, n)
			for i := range n {
				names[i], ids[i] = benchTopic(i%topics), protocol.NewSocketID()
			}
			var held uint64
			for b.Loop() {
				before := heap()
				h := New(Options{Shards: 2})
				conns := make([]struct {
					Subscriber
					sub Subscription
				}, n)
				for i := range conns {
					c := &conns[i]
					h.Attach(&c.Subscriber, nil, ids[i], protocol.VariantPusher)
					c.Subscribe(&c.sub, &names[i])
					_ = c.sub.Release(protocol.Position{})
				}
				held = heap() - before
				runtime.KeepAlive(h)
				runtime.KeepAlive(conns)
			}
			b.ReportMetric(float64(held)/n, "B/conn")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
