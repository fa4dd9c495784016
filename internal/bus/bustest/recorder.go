package bustest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// patience is how long a publication may be under way on a busy machine.
const patience = time.Minute

// recorder is a receiver that remembers, and that notices calls for one topic that are
// concurrent.
type recorder struct {
	mu      sync.Mutex
	byTopic map[protocol.Topic]*record // guarded by mu
	arrived chan struct{}              // one slot
}

type record struct {
	turn sync.Mutex // held while Receive runs
	pubs []*protocol.Publication
	bad  int // calls while another ran
}

func newRecorder() *recorder {
	return &recorder{byTopic: map[protocol.Topic]*record{}, arrived: make(chan struct{}, 1)}
}

func (r *recorder) Receive(p *protocol.Publication) {
	rec := r.record(p.Topic)
	alone := rec.turn.TryLock()
	r.mu.Lock()
	rec.pubs = append(rec.pubs, p)
	if !alone {
		rec.bad++
	}
	r.mu.Unlock()
	if alone {
		rec.turn.Unlock()
	}
	select {
	case r.arrived <- struct{}{}:
	default:
	}
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
	if rec.bad > 0 {
		t.Errorf("%d calls of Receive while another ran for the same topic", rec.bad)
	}
	return slices.Clone(rec.pubs)
}

// await waits until the publication at an offset has come, and returns all that have.
func (r *recorder) await(t *testing.T, topic protocol.Topic, at protocol.Position) []*protocol.Publication {
	t.Helper()
	deadline := time.After(patience)
	for {
		pubs := r.received(t, topic)
		if n := len(pubs); n > 0 && at.Covers(pubs[n-1].Position) && pubs[n-1].Position.Covers(at) {
			return pubs
		}
		select {
		case <-r.arrived:
		case <-deadline:
			t.Fatalf("nothing received at %v within %v; got %d publications", at, patience, len(pubs))
		}
	}
}
