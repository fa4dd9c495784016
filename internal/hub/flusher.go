package hub

import (
	"context"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/inbox"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	// What one round joins of one topic at most; the rest is for the next round, so that
	// small topics do not wait behind a long backlog.
	maxRoundFrames = 256
	maxRoundBytes  = 256 << 10

	// maxScratch is the capacity, in elements, above which a slice is not kept for reuse.
	maxScratch = 16 << 10
)

// flusher delivers what waits in the inbox of its shard, in rounds. A round takes the front
// of what waits for each topic, smallest topic first, as one run of frames. A connection
// with several topics in the round gets them in one write, when the first comes along.
//
// All fields are owned by the flusher's goroutine; in steady state it allocates nothing.
type flusher struct {
	shard   *shard
	encoder frames.Encoder
	chains  inbox.Chains
	groups  []group             // one for each list for which something waits
	spare   []inbox.Item[*list] // the next empty inbox
	marks   []chan struct{}     // of Flush, to be passed
	marked  int                 // groups that are not there yet

	// Of the round.
	number     uint64    // counts rounds
	cohorts    []*cohort // that take part, without the lists' own
	order      []uint64  // of the groups: subscriptions and, in the lower half, index
	collected  []place
	excepted   []*Subscriber
	parts      []bufpool.Segment // that filters let through
	frames     int               // delivered
	suppressed int               // not delivered, because of a filter
	writes     int
	encodings  int

	asked   asked             // of the connection that is written to
	segs    []bufpool.Segment // scratch
	left    int32             // steps until the shard's lock is given away
	chunk   int32             // visits under one hold of it; chunk but in tests
	looks   int32             // cohorts looked at under one hold of it; looks but in tests
	atYield func()            // called where it is given away; nil but in tests
}

// group is what waits for one list.
type group struct {
	inbox.Chain
	list *list
	mark int32 // the entry up to which marks are waited for; 0: none

	// Of the round.
	isOver   bool  // the round has delivered all of it
	n        int32 // subscriptions that take part
	from, to int32 // their cohorts, of flusher.cohorts, without the list's own
	variants uint8 // a bit for each variant among them: what to encode before taking the lock
	frames   int   // entries from First on that are delivered
	bytes    int   // their Size
	runs     [protocol.NumVariants]frames.Run
}

// run delivers until ctx ends, and then what waits. Who ends ctx wakes the inbox after it: to wait
// for one channel is cheaper than for either of two, with every publication.
func (f *flusher) run(ctx context.Context) {
	for isLast := false; !isLast; {
		f.shard.inbox.Wait()
		isLast = ctx.Err() != nil
		f.drain(isLast)
	}
}

// drain delivers until nothing waits. The last drain closes the inbox first.
func (f *flusher) drain(isLast bool) {
	for {
		f.take(isLast)
		if len(f.groups) == 0 {
			return
		}
		f.round()
	}
}

// take sorts all that waits in the inbox into groups, behind what is left of the last round.
//
//millrace:hot BenchmarkBroadcast BenchmarkTopics TestBroadcastAllocs
func (f *flusher) take(isLast bool) {
	items, marks := f.shard.inbox.Take(f.spare, len(f.marks) == 0, isLast)
	for _, it := range items {
		if it.To.group == 0 {
			f.groups = append(f.groups, group{list: it.To})
			it.To.group = int32(len(f.groups))
		}
		f.chains.Append(&f.groups[it.To.group-1].Chain, it.Publication)
	}
	clear(items)
	f.spare = reuse(items)
	f.markGroups(marks)
}

// round delivers the front of each group.
//
//millrace:hot BenchmarkBroadcast BenchmarkTopics TestBroadcastAllocs
func (f *flusher) round() {
	f.number++
	f.cut()
	f.sort()
	if len(f.order) > 1 {
		f.collect()
	}
	for _, o := range f.order {
		g := f.groupOf(o)
		if g.n > 0 {
			f.encodeAll(g)
			f.shard.hub.metrics.batch.Observe(float64(g.frames))
		}
		f.deliver(g)
		f.finishGroup(g)
	}
	f.finish()
}

// cut decides what each group delivers in this round and which cohorts take part, and marks the
// connections that a publication excepts, so that all others need not be compared with it.
func (f *flusher) cut() {
	sh := f.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.left = f.looks
	for i := range f.groups {
		g := &f.groups[i]
		g.isOver, g.frames, g.bytes = false, 0, 0
		for e := g.First; e != 0 && g.frames < maxRoundFrames && g.bytes < maxRoundBytes; {
			var p *protocol.Publication
			p, e = f.chains.At(e)
			g.frames++
			g.bytes += p.Size()
			if !p.ExceptsAny() {
				continue
			}
			if s := sh.ids[p.Except]; s != nil && !s.isExcepted {
				s.isExcepted = true
				f.excepted = append(f.excepted, s)
			}
		}
		f.matchLocked(g)
	}
}

// sort puts the groups in order, the one with the fewest subscriptions first.
func (f *flusher) sort() {
	f.order = reuse(f.order)
	for i := range f.groups {
		f.order = append(f.order, uint64(f.groups[i].n)<<32|uint64(i))
	}
	slices.Sort(f.order)
}

// groupOf is the group of an entry of order.
func (f *flusher) groupOf(o uint64) *group { return &f.groups[uint32(o)] }

// encodeAll makes the runs of g without holding the lock.
func (f *flusher) encodeAll(g *group) {
	for left := g.variants; left != 0; left &= left - 1 {
		f.runOf(g, protocol.Variant(bits.TrailingZeros8(left)))
	}
}

// finishGroup frees what g delivered and makes room for publishers.
func (f *flusher) finishGroup(g *group) {
	for v := range g.runs {
		g.runs[v].Release()
	}
	var last *protocol.Publication
	for range g.frames {
		var e int32
		if e, last = f.chains.Shift(&g.Chain); e == g.mark {
			g.mark = 0
			f.marked--
		}
	}
	if last != nil && last.Change != nil {
		g.list.passed.Store(last.Change.Number)
	}
	f.shard.hub.waiting.Release(int64(g.bytes + g.frames*heldBytes))
}

// finish forgets the round and the groups for which nothing waits any more.
func (f *flusher) finish() {
	f.unmark()
	clear(f.cohorts)
	clear(f.parts)
	f.cohorts, f.parts = reuse(f.cohorts), reuse(f.parts)
	f.encoder.Reset()
	kept := 0
	for i := range f.groups {
		g := &f.groups[i]
		if g.First == 0 {
			g.list.group = 0
			continue
		}
		f.groups[kept] = *g
		kept++
		g.list.group = int32(kept)
	}
	clear(f.groups[kept:])
	f.groups = f.groups[:kept]
	if kept == 0 {
		f.groups = reuse(f.groups)
		f.chains.Shrink(maxScratch)
	}
	m := f.shard.hub.metrics
	m.deliveries.Add(float64(f.frames))
	m.writes.Add(float64(f.writes))
	m.encodings.Add(float64(f.encodings))
	if f.suppressed > 0 {
		m.suppressed.Add(float64(f.suppressed))
	}
	f.frames, f.suppressed, f.writes, f.encodings = 0, 0, 0, 0
	f.passMarks()
}

// reuse is s, emptied, unless a burst has made it too large to keep.
func reuse[T any](s []T) []T {
	if cap(s) > maxScratch {
		return nil
	}
	return s[:0]
}
