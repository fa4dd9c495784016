package hub

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
)

// deafConn is a connection that takes nothing.
type deafConn struct{ Subscriber }

func (*deafConn) IsCongested(int) bool            { return true }
func (*deafConn) WriteSegments([]bufpool.Segment) { /* thrown away */ }

// TestWhatADeafConnectionMissesTakesLittle is not parallel: it measures the heap of the process.
func TestWhatADeafConnectionMissesTakesLittle(t *testing.T) {
	const topics, rounds, most = 1000, 300, 1 << 20 // of which the subscriptions that lag take about 180 bytes each
	h := New(Options{Codecs: [protocol.NumVariants]protocol.Codec{placeCodec{}}, Shards: 1})
	c := new(deafConn)
	h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
	subs := make([]Subscription, topics)
	for i := range subs {
		c.Follow(&subs[i], new(modelTopic(i)))
		if err := subs[i].Release(protocol.Position{Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	keys := make([]string, rounds) // not what is measured
	for i := range keys {
		keys[i] = "key-" + strconv.Itoa(i)
	}
	used := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // pools give up what they hold at the second one
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := used()
	for n, key := range keys {
		for i := range subs {
			h.Receive(&protocol.Publication{
				Topic: modelTopic(i), Kind: protocol.KindChange, Change: &protocol.Change{Number: uint64(n), Key: key},
				Position: protocol.Position{Epoch: 1, Offset: uint64(n + 1)},
			})
		}
		flush(h)
	}
	if got := used() - before; got > most {
		t.Errorf("%d bytes are held for what a connection misses of %d topics, want at most %d", got, topics, most)
	} else {
		t.Logf("%d bytes are held", got)
	}
	runtime.KeepAlive(h)
	runtime.KeepAlive(c)
	runtime.KeepAlive(subs)
}
