package hub_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	randomTopics      = 4
	randomConnections = 150 // more than a chunk in each shard
	randomWorkers     = 6
	randomPublishers  = 3
)

// stream is the order of one topic, as a bus keeps it.
type stream struct {
	name string

	mu     sync.Mutex
	offset uint64
	except []protocol.SocketID // by offset; guarded by mu
}

func (s *stream) publish(h *hub.Hub, except protocol.SocketID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset++
	s.except = append(s.except, except)
	p := pub(s.name, s.offset)
	p.Except = except
	h.Receive(p)
}

func (s *stream) position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offset
}

// witness is a connection that checks every frame it is given: the offsets of a topic are
// the ones after Release, each once, without a gap but for those that except it, and none
// comes before Release or after Close.
type witness struct {
	hub.Subscriber
	model   *model
	subs    [randomTopics]hub.Subscription
	turn    sync.Mutex // held by the worker that acts on this connection
	isOpen  [randomTopics]bool
	follows [randomTopics]bool // made by Follow
	isGone  bool
	mortal  bool
	written int

	mu   sync.Mutex
	want [randomTopics]uint64 // the last offset seen, when live; guarded by mu
	live [randomTopics]bool
}

type model struct {
	t       *testing.T
	h       *hub.Hub
	streams [randomTopics]*stream
	conns   []*witness
}

func (w *witness) WriteSegments(segs []bufpool.Segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range segs {
		frames, err := payloads(s)
		if err != nil {
			w.model.t.Error(err)
		}
		for _, f := range frames {
			w.checkLocked(f)
		}
	}
	if len(segs) > 1 && rand.IntN(8) == 0 {
		runtime.Gosched()
	}
}
func (*witness) IsCongested(int) bool { return false }

func (w *witness) checkLocked(frame string) {
	w.written++
	name, text, _ := strings.Cut(frame, "/")
	i := int(name[0] - 'a')
	got, _ := strconv.ParseUint(text, 10, 64)
	if !w.live[i] {
		w.model.t.Errorf("%v got %s while not subscribed", w.ID(), frame)
		return
	}
	if want := w.model.streams[i].next(w.want[i], w.ID()); got != want {
		w.model.t.Errorf("%v got %s after %d, want %d", w.ID(), frame, w.want[i], want)
	}
	w.want[i] = got
}

// next is the first offset after last that does not except id.
func (s *stream) next(last uint64, id protocol.SocketID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for last++; last <= s.offset && s.except[last-1] == id; {
		last++
	}
	return last
}

// act does one random operation.
func (w *witness) act(r *rand.Rand) {
	w.turn.Lock()
	defer w.turn.Unlock()
	if w.isGone {
		return
	}
	if w.mortal && r.IntN(50) == 0 {
		w.leave()
		return
	}
	i := r.IntN(randomTopics)
	sub := &w.subs[i]
	if w.isOpen[i] {
		if lag, isLagging := sub.Lag(); isLagging {
			w.model.t.Errorf("%v lags: %+v", w.ID(), lag)
		}
		sub.Close()
		// After it, so that nothing is counted for the next subscription, which may be of another kind.
		if frames, _ := sub.Sent(); !w.follows[i] && frames > 0 {
			w.model.t.Errorf("%d frames were counted for a subscription of Subscribe", frames)
		}
		w.isOpen[i] = false
		w.mu.Lock()
		w.live[i] = false
		w.mu.Unlock()
		return
	}
	t := topic(w.model.streams[i].name)
	w.follows[i] = false
	switch r.IntN(3) {
	case 0:
		w.Subscribe(sub, &t)
	case 1: // while no connection is congested, it is the same
		w.Follow(sub, &t)
		w.follows[i] = true
	default:
		if err := w.SubscribeAs(protocol.VariantViews, sub, &t, nil); err != nil {
			w.model.t.Errorf("SubscribeAs: %v", err)
		}
	}
	for range r.IntN(4) {
		runtime.Gosched() // the hold lasts a while
	}
	after := w.model.streams[i].position()
	for range r.IntN(4) {
		runtime.Gosched()
	}
	w.mu.Lock()
	w.want[i], w.live[i] = after, true
	w.mu.Unlock()
	if r.IntN(10) == 0 { // gives up before Release
		w.mu.Lock()
		w.live[i] = false
		w.mu.Unlock()
		sub.Close()
		return
	}
	if err := sub.Release(at(after)); err != nil {
		w.model.t.Errorf("Release: %v", err)
	}
	w.isOpen[i] = true
}

func (w *witness) leave() {
	w.Detach()
	w.isGone, w.isOpen = true, [randomTopics]bool{}
	w.mu.Lock()
	w.live = [randomTopics]bool{}
	w.mu.Unlock()
}

func newModel(t *testing.T, h *hub.Hub) *model {
	m := &model{t: t, h: h}
	for i := range m.streams {
		m.streams[i] = &stream{name: string(rune('a' + i))}
	}
	for i := range randomConnections {
		w := &witness{model: m, mortal: i%2 == 0}
		if !h.Attach(&w.Subscriber, w, protocol.NewSocketID(), protocol.VariantPusher) {
			t.Fatal("Attach refused a fresh id")
		}
		m.conns = append(m.conns, w)
	}
	return m
}

func (m *model) publish(r *rand.Rand, n int) {
	for range n {
		s := m.streams[r.IntN(len(m.streams))]
		var except protocol.SocketID
		if r.IntN(3) == 0 {
			except = m.conns[r.IntN(len(m.conns))].ID()
		}
		if err := m.h.Reserve(context.Background(), 100); err != nil {
			m.t.Errorf("Reserve: %v", err)
		}
		s.publish(m.h, except)
		if r.IntN(50) == 0 {
			runtime.Gosched()
		}
	}
}

// TestRandomOperations lets workers subscribe and close on many connections while
// publishers publish; every connection checks what it gets.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := hub.New(hub.Options{Codecs: codecs(), Shards: 2, MaxInboxBytes: 32 << 10, MaxHeld: 1 << 20})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running, workers, publishers sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	m := newModel(t, h)
	stop := make(chan struct{})
	for i := range randomWorkers {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for {
				select {
				case <-stop:
					return
				default:
					m.conns[r.IntN(len(m.conns))].act(r)
				}
			}
		})
	}
	for i := range randomPublishers {
		publishers.Go(func() { m.publish(rand.New(rand.NewPCG(seed, uint64(1000+i))), 2000) })
	}
	publishers.Wait()
	close(stop)
	workers.Wait()
	m.publish(rand.New(rand.NewPCG(seed, 0)), 200)
	cancel()
	running.Wait()
	m.expectComplete()
}

// expectComplete checks that every open subscription has got everything.
func (m *model) expectComplete() {
	written := 0
	for _, w := range m.conns {
		written += w.written
		for i, s := range m.streams {
			if missing := s.next(w.want[i], w.ID()); w.isOpen[i] && missing <= s.offset {
				m.t.Errorf("%v is open on %s and never got %d of %d", w.ID(), s.name, missing, s.offset)
			}
		}
	}
	if written == 0 {
		m.t.Error("nothing was delivered at all")
	}
	m.t.Logf("%d deliveries checked", written)
}
