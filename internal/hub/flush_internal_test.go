package hub

import (
	"testing"

	"github.com/millrace/millrace/internal/protocol"
)

// What comes after a mark does not hold it up, however much that is; a second mark waits for what
// came between.
func TestMarksPassThoughMoreAlwaysComes(t *testing.T) {
	t.Parallel()
	h := New(Options{Codecs: [protocol.NumVariants]protocol.Codec{jsonCodec{}}, Shards: 1})
	c := &sink{subs: make([]Subscription, 2)}
	h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
	for i := range c.subs {
		c.Subscribe(&c.subs[i], new(benchTopic(i)))
		_ = c.subs[i].Release(protocol.Position{})
	}
	receive := func(topic, n int) {
		for range n {
			h.Receive(&protocol.Publication{Topic: benchTopic(topic), Event: "e", Data: []byte(`""`)})
		}
	}
	isPassed := func(mark chan struct{}) bool {
		select {
		case <-mark:
			return true
		default:
			return false
		}
	}
	sh := h.shards[0]
	receive(0, 2*maxRoundFrames)
	first := sh.inbox.Mark()
	receive(0, maxRoundFrames)
	var second chan struct{}
	for round := 1; round <= 4; round++ {
		receive(1, maxRoundFrames+1) // it never gets empty
		sh.flusher.take(false)
		sh.flusher.round()
		if round == 1 {
			second = sh.inbox.Mark()
		}
		// The first was taken with all that had come by then.
		if got, want := isPassed(first), round >= 3; got != want {
			t.Errorf("after round %d the first mark is passed: %v, want %v", round, got, want)
		}
		if isPassed(second) {
			t.Errorf("after round %d the second mark is passed", round)
		}
	}
	for i := 0; !isPassed(second); i++ {
		if i == 10 {
			t.Fatal("the second mark is never passed")
		}
		receive(0, maxRoundFrames)
		sh.flusher.take(false)
		sh.flusher.round()
	}
}
