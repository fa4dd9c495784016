package channel

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	// spanLen is how many serials a span has.
	spanLen = 64
	// spanAge is how long a span is used without being read again. What is purged may be sent for so long.
	spanAge = time.Second
	// maxSpanBytes bounds what is kept of spans.
	maxSpanBytes = 8 << 20
)

// spanKey names a span: all that is kept of the serials above number*spanLen, spanLen of them.
type spanKey struct {
	topic  protocol.Topic
	stream string
	number uint64
}

// span is a part of a channel, encoded once for all connections that replay it. It is immutable.
type span struct {
	bus.Page
	series *frames.Series
	read   time.Time // when
	size   int
}

// first is the serial of the first publication, zero without.
func (b *span) first() uint64 {
	if len(b.Publications) == 0 {
		return 0
	}
	return b.Publications[0].Properties.Serial
}

// index is where a serial is.
func (b *span) index(serial uint64) (i int, ok bool) {
	first := b.first()
	if first == 0 || serial < first || serial >= first+uint64(len(b.Publications)) {
		return 0, false
	}
	return int(serial - first), true
}

// spans are the spans that were read a moment ago. Readers of one span wait for the first of them.
type spans struct {
	mu    sync.Mutex
	known map[spanKey]*reading // guarded by mu, as all below
	order []*reading           // oldest first
	bytes int
}

// reading is a span that is being read, or was.
type reading struct {
	key  spanKey
	done chan struct{} // closed once the rest is written
	*span
	err error
}

// with is the span that has the serials from one on, up to and including another one that is stored. It has none of
// them if the first is not kept any more.
func (e *Engine) with(ctx context.Context, t protocol.Topic, stream string, serial, through uint64) (*span, error) {
	key := spanKey{t, stream, (serial - 1) / spanLen}
	last := min(through, (key.number+1)*spanLen)
	r, isMine := e.spans.take(key, last, time.Now())
	if isMine {
		r.span, r.err = e.read(ctx, t, bus.Query{After: key.number * spanLen, Before: (key.number+1)*spanLen + 1, Limit: spanLen})
		e.spans.finish(r)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.err != nil || r.has(serial, last) {
		return r.span, r.err
	}
	// It was read before last was stored, or it is too large for a page.
	return e.read(ctx, t, bus.Query{After: serial - 1, Before: last + 1, Limit: spanLen})
}

// has reports whether b has, of two serials, the first, or says that it is not kept, and either the
// second or as much as fits in a page.
func (b *span) has(serial, last uint64) bool {
	_, hasFirst := b.index(serial)
	_, hasLast := b.index(last)
	return hasFirst && hasLast || serial < b.Oldest
}

func (e *Engine) read(ctx context.Context, t protocol.Topic, q bus.Query) (*span, error) {
	page, err := e.bus.Read(ctx, t, q)
	if err != nil {
		return nil, err
	}
	b := &span{Page: page, read: time.Now()}
	ps := make([]*protocol.Publication, len(page.Publications))
	for i := range page.Publications {
		ps[i] = page.Publications[i].Publication
		b.size += ps[i].Size()
	}
	b.series = frames.NewSeries(ps)
	return b, nil
}

// take finds a span that is young enough and has last, or makes one that the caller reads.
func (bs *spans) take(key spanKey, last uint64, now time.Time) (r *reading, isMine bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if r = bs.known[key]; r != nil && !r.isOver(last, now) {
		return r, false
	}
	r = &reading{key: key, done: make(chan struct{})}
	if bs.known == nil {
		bs.known = make(map[spanKey]*reading)
	}
	bs.known[key] = r
	return r, true
}

// isOver reports whether another reading is to take the place of r.
func (r *reading) isOver(last uint64, now time.Time) bool {
	select {
	case <-r.done:
		return r.err != nil || now.Sub(r.read) > spanAge || r.Next <= last
	default:
		return false
	}
}

// finish lets those go who wait for r, and forgets what is old or too much.
func (bs *spans) finish(r *reading) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	close(r.done)
	if r.err != nil {
		if bs.known[r.key] == r {
			delete(bs.known, r.key)
		}
		return
	}
	bs.order = append(bs.order, r)
	bs.bytes += r.size
	for len(bs.order) > 1 && (bs.bytes > maxSpanBytes || r.read.Sub(bs.order[0].read) > spanAge) {
		old := bs.order[0]
		bs.order[0] = nil
		bs.order = bs.order[1:]
		bs.bytes -= old.size
		if bs.known[old.key] == old {
			delete(bs.known, old.key)
		}
	}
}
