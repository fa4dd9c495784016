package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lineCodec writes a publication as "channel/offset".
type lineCodec struct{ protocol.Codec }

func (lineCodec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	dst = append(append(dst, p.Topic.Name...), '/')
	dst = strconv.AppendUint(dst, p.Position.Offset, 10)
	return append(dst, p.Data...)
}

func (lineCodec) IsBinary(protocol.MessageKind) bool { return false }

// binaryCodec is lineCodec in binary messages.
type binaryCodec struct{ lineCodec }

func (binaryCodec) IsBinary(protocol.MessageKind) bool { return true }

func codecs() [protocol.NumVariants]protocol.Codec {
	return [protocol.NumVariants]protocol.Codec{lineCodec{}, binaryCodec{}}
}

// start runs a hub until the test ends.
func start(t *testing.T, o hub.Options) *hub.Hub {
	t.Helper()
	o.Codecs = codecs()
	h := hub.New(o)
	run(t, h)
	return h
}

func run(t *testing.T, h *hub.Hub) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// peer is a connection that remembers what was written to it: a write is a list of frames.
type peer struct {
	hub.Subscriber

	mu        sync.Mutex
	writes    [][]string
	congested bool
	asks      []int // what it was asked about
}

func attach(t *testing.T, h *hub.Hub) *peer {
	t.Helper()
	p := new(peer)
	if !h.Attach(&p.Subscriber, p, protocol.NewSocketID(), protocol.VariantPusher) {
		t.Fatal("Attach refused a fresh id")
	}
	return p
}

func (p *peer) WriteSegments(segs []bufpool.Segment) {
	var frames []string
	for _, s := range segs {
		got, err := payloads(s)
		if err != nil {
			frames = append(frames, err.Error())
		}
		frames = append(frames, got...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, frames)
}

func (p *peer) IsCongested(more int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asks = append(p.asks, more)
	return p.congested
}

func (p *peer) congest(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.congested = is
}

// payloads splits a segment in frames and checks that it holds as many as it says.
func payloads(s bufpool.Segment) ([]string, error) {
	var got []string
	for b := s.Bytes(); len(b) > 0; {
		h, n, err := websocket.ParseHeader(b)
		if err != nil || n == 0 || len(b) < n+h.Length || !h.Fin || h.Masked || h.Op.IsControl() {
			return nil, fmt.Errorf("not a data frame of a server: %x", b)
		}
		got = append(got, string(bytes.Clone(b[n:n+h.Length])))
		b = b[n+h.Length:]
	}
	if len(got) != s.Frames {
		return nil, fmt.Errorf("segment has %d frames and says %d", len(got), s.Frames)
	}
	return got, nil
}

// take returns all frames since the last take, and in how many writes they came.
func (p *peer) take() (frames []string, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frames, writes = slices.Concat(p.writes...), len(p.writes)
	p.writes = nil
	return frames, writes
}

func (p *peer) expect(t *testing.T, want ...string) {
	t.Helper()
	got, _ := p.take()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames differ (-want +got):\n%s", diff)
	}
}

// open subscribes p to a channel and releases after the zero position.
func (p *peer) open(t *testing.T, name string) *hub.Subscription {
	t.Helper()
	sub := new(hub.Subscription)
	p.Subscribe(sub, new(topic(name)))
	release(t, sub, protocol.Position{})
	return sub
}

func release(t *testing.T, sub *hub.Subscription, after protocol.Position) {
	t.Helper()
	if err := sub.Release(after); err != nil {
		t.Fatalf("Release: %v", err)
	}
}

func topic(name string) protocol.Topic { return protocol.Topic{App: "app", Name: name} }

func at(offset uint64) protocol.Position { return protocol.Position{Epoch: 7, Offset: offset} }

func pub(name string, offset uint64) *protocol.Publication {
	return &protocol.Publication{Topic: topic(name), Position: at(offset), Event: "e"}
}

// receive hands publications from first to last of a channel to h.
func receive(h *hub.Hub, name string, first, last uint64) {
	for o := first; o <= last; o++ {
		h.Receive(pub(name, o))
	}
}

// lines is what the codec makes of these publications.
func lines(name string, first, last uint64) []string {
	var all []string
	for o := first; o <= last; o++ {
		all = append(all, fmt.Sprintf("%s/%d", name, o))
	}
	return all
}
