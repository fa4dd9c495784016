package bustest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// waitLimit is how long a publication may be under way on a busy machine.
const waitLimit = time.Minute

// Node is the fan-out that a bus delivers to.
type Node interface {
	bus.Receiver
	Reserve(ctx context.Context, n int) error
}

// recorder is a node that remembers and judges: calls for one topic that are concurrent, a
// publication of another topic than the call's, positions that do not grow, and gaps.
type recorder struct {
	mu      sync.Mutex
	byTopic map[protocol.Topic]*record // guarded by mu
	faults  []string                   // guarded by mu
	isFull  bool                       // guarded by mu
	arrived chan struct{}              // one slot
}

type record struct {
	turn sync.Mutex // held while Receive runs
	pubs []*protocol.Publication
	lost []gap
}

type gap struct{ from, to protocol.Position }

func newRecorder() *recorder {
	return &recorder{byTopic: map[protocol.Topic]*record{}, arrived: make(chan struct{}, 1)}
}

// Reserve has room unless it is full.
func (r *recorder) Reserve(ctx context.Context, _ int) error {
	r.mu.Lock()
	isFull := r.isFull
	r.mu.Unlock()
	if !isFull {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (r *recorder) setFull(isFull bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isFull = isFull
}

func (r *recorder) Receive(ps ...*protocol.Publication) {
	if len(ps) == 0 {
		r.fault("Receive without publications")
		return
	}
	rec := r.record(ps[0].Topic)
	if !rec.turn.TryLock() {
		r.fault("Receive while another call for the topic ran")
	} else {
		defer rec.turn.Unlock()
	}
	for _, p := range ps {
		r.receive(rec, ps[0].Topic, p)
	}
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

func (r *recorder) receive(rec *record, t protocol.Topic, p *protocol.Publication) {
	if p.Topic != t {
		r.fault("Receive with publications of two topics")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(rec.pubs); n > 0 && !isAfter(rec.pubs[n-1].Position, p.Position) {
		r.faults = append(r.faults, "a position that does not grow: "+p.Event)
	}
	rec.pubs = append(rec.pubs, p)
}

func (r *recorder) Lost(t protocol.Topic, from, to protocol.Position) {
	rec := r.record(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.lost = append(rec.lost, gap{from, to})
}

func (r *recorder) fault(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, what)
}

func (r *recorder) record(t protocol.Topic) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byTopic[t] == nil {
		r.byTopic[t] = new(record)
	}
	return r.byTopic[t]
}

// received is what has come for t so far.
func (r *recorder) received(t *testing.T, topic protocol.Topic) []*protocol.Publication {
	t.Helper()
	rec := r.record(topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		t.Error(f)
	}
	r.faults = nil
	return slices.Clone(rec.pubs)
}

// await waits until the publication at an offset has come, and returns all that have.
func (r *recorder) await(t *testing.T, topic protocol.Topic, at protocol.Position) []*protocol.Publication {
	t.Helper()
	deadline := time.After(waitLimit)
	for {
		pubs := r.received(t, topic)
		if n := len(pubs); n > 0 && pubs[n-1].Position.Covers(at) {
			return pubs
		}
		select {
		case <-r.arrived:
		case <-time.After(time.Millisecond): // another waiter took the token
		case <-deadline:
			t.Fatalf("nothing received at %v within %v; got %d publications", at, waitLimit, len(pubs))
		}
	}
}

// expectComplete fails for each published position after from that was neither received nor told
// as lost.
func (r *recorder) expectComplete(t *testing.T, topic protocol.Topic, from protocol.Position, published map[string]protocol.Position) {
	t.Helper()
	got := map[protocol.Position]string{}
	for _, p := range r.received(t, topic) {
		got[p.Position] = p.Event
	}
	rec := r.record(topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	for event, at := range published {
		isLost := slices.ContainsFunc(rec.lost, func(g gap) bool { return isAfter(g.from, at) && g.to.Covers(at) })
		if isAfter(from, at) && !isLost && got[at] != event {
			t.Errorf("%s, published at %v, was received as %q", event, at, got[at])
		}
	}
}
