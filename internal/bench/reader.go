package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/internal/socket"
)

// Bounds of latency histograms: 1 us to 2 min, three digits.
const (
	minLatency = int64(time.Microsecond)
	maxLatency = int64(2 * time.Minute)
)

// NewHistogram is one of latencies, in nanoseconds.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(minLatency, maxLatency, 3) }

// record notes one duration, held to the histogram's bounds.
func record(h *hdrhistogram.Histogram, d int64) {
	_ = h.RecordValue(min(max(d, minLatency), maxLatency))
}

// clock counts nanoseconds from the start of a run. It never goes back.
type clock struct{ start time.Time }

func (c clock) now() int64 { return int64(time.Since(c.start)) }

// Counts of deliveries.
type Counts struct {
	Received  uint64 // with a stamp, duplicates included
	Late      uint64 // out of order
	Duplicate uint64
	Stray     uint64 // on a connection that does not subscribe to the channel
	Malformed uint64 // named as ours, without an intact payload
	Frames    uint64 // of any kind, with their bytes
	Bytes     uint64
}

// Unique is what was received without duplicates.
func (c Counts) Unique() uint64 { return c.Received - c.Duplicate }

func (c *Counts) add(d Counts) {
	c.Received += d.Received
	c.Late += d.Late
	c.Duplicate += d.Duplicate
	c.Stray += d.Stray
	c.Malformed += d.Malformed
	c.Frames += d.Frames
	c.Bytes += d.Bytes
}

// reader owns one poller and the books of its connections. Nearly always the poller alone
// takes the lock: the engine gives only a connection's first turn and its last to others.
type reader struct {
	engine *socket.Engine
	clock  clock

	mu       sync.Mutex
	scan     scanner
	tally    *tally // nil unless a window is on
	from, to int64  // publications due in [from, to) are measured
	latency  *hdrhistogram.Histogram
	counts   Counts
}

func newReader(c clock, m mark, payload int) (*reader, error) {
	engine, err := socket.New(socket.Options{Pollers: 1, Inline: true})
	if err != nil {
		return nil, err
	}
	return &reader{engine: engine, clock: c, scan: scanner{mark: m, size: payload}, latency: NewHistogram()}, nil
}

// begin says what to measure from now on.
func (r *reader) begin(from, to int64, t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.to, r.tally = from, to, t
}

func (r *reader) snapshot() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// deliver takes a frame into the books of s. False means that it is no delivery.
//
//millrace:hot BenchmarkDeliver TestDeliverAllocs
func (r *reader) deliver(s *subscriber, frame []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Frames++
	r.counts.Bytes += uint64(len(frame))
	st, ok := r.scan.find(frame)
	if !ok {
		return false
	}
	book := s.book(st.channel)
	if book == nil || int(st.publisher) >= len(book.next) {
		r.counts.Stray++
		return true
	}
	r.counts.Received++
	switch book.note(st.publisher, st.seq) {
	case duplicate:
		r.counts.Duplicate++
		return true
	case late:
		r.counts.Late++
	case inOrder, afterGap: // a gap is counted when the books are closed
	}
	if st.at >= r.from && st.at < r.to {
		record(r.latency, r.clock.now()-st.at)
	}
	if r.tally != nil {
		r.tally.note(st.slot, st.channel)
	}
	return true
}

func (r *reader) countMalformed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Malformed++
}
