package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	// ranked is the derived view of a type that is sorted by rank, with a window of top rows.
	ranked = "ranked"
	top    = 100
	// rankedEntities are ranked 0 to rankedEntities-1: those from shown on are in the window.
	rankedEntities = 10_000
	shown          = rankedEntities - top
)

// Sharing is what changes of the entities behind one window cost, which all connections watch.
type Sharing struct {
	Snapshot     int     `json:"snapshot_bytes"`      // of the window, as JSON
	SnapshotSent int     `json:"snapshot_bytes_sent"` // compressed
	Outside      Changes `json:"outside"`             // changes of entities that are not in the window, before and after
	Inside       Changes `json:"inside"`              // changes of a row that stays where it is
	Entering     Changes `json:"entering"`            // an entity enters at the top, another leaves at the end
}

// Changes is what a number of changes led to, all subscribers together.
type Changes struct {
	Count        int    `json:"changes"`
	Publications int    `json:"publications"` // as the server counts
	Encodings    int    `json:"encodings"`
	Deliveries   int    `json:"deliveries"`
	Writes       int    `json:"writes"`
	Frames       uint64 `json:"frames_received"`
	Bytes        uint64 `json:"bytes_received"`
}

// Window changes entities behind a window of 100 rows that all connections watch, one
// after the other, and counts what the server does and what the connections receive.
func Window(ctx context.Context, o Options) (*Result, error) {
	o.Views, o.View, o.Window, o.Rate, o.Channels, o.Publishers = true, ranked, 1, 0, 1, 1
	s, err := begin(ctx, o, ScenarioWindow)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	w := &windowRun{session: s, typ: s.swarm.channels[0]}
	if w.poster, err = newPoster(&s.o); err != nil {
		return nil, err
	}
	defer w.poster.close()
	if err := w.fill(ctx); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	s.result.Sharing, s.result.Delivery = new(Sharing), new(Delivery)
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	s.finish(ctx)
	return s.result, ctx.Err()
}

// windowRun is one run of [Window].
type windowRun struct {
	*session
	poster *poster
	typ    string
	seq    uint32 // stamped changes so far
	data   []byte

	isStalled bool // something did not come: nothing is waited for any more
}

// fill makes the entities and the view.
func (w *windowRun) fill(ctx context.Context) error {
	err := fillType(ctx, w.poster, w.typ, rankedEntities)
	if err != nil {
		return err
	}
	id := w.typ + "/" + ranked
	return w.poster.must(ctx, w.poster.of("views"), fmt.Appendf(nil,
		`{"id":%q,"source":%q,"sort":[{"field":"rank","order":"desc"}],"limit":%d}`, id, w.typ+"/list", top))
}

// run does the three kinds of changes. Nothing can be known to have come for a change
// outside until something has come for a later one inside: the first one is that.
func (w *windowRun) run(ctx context.Context) error {
	sharing := w.result.Sharing
	for _, m := range w.swarm.members() {
		sharing.Snapshot, sharing.SnapshotSent = int(m.sub.initial.full), int(m.sub.initial.sent)
	}
	n := uint64(len(w.swarm.members()))
	start, err := w.count(ctx, 0)
	if err != nil {
		return err
	}
	sharing.Outside.Count, err = w.outside(ctx)
	if err != nil {
		return err
	}
	middle, err := w.count(ctx, 0)
	if err != nil {
		return err
	}
	if err := w.stamped(ctx, shown+top/2, shown+top/2, n); err != nil {
		return err
	}
	behind, err := w.count(ctx, middle.deliveries+int(n))
	if err != nil {
		return err
	}
	sharing.Outside.set(start, middle)
	sharing.Outside.Frames = behind.received.frames - start.received.frames - n
	if err := w.each(ctx, &sharing.Inside, 1, func(i int) error {
		row := shown + 1 + i%(top-2)
		return w.stamped(ctx, row, row, n)
	}); err != nil {
		return err
	}
	if err := w.each(ctx, &sharing.Entering, 2, func(i int) error {
		return w.stamped(ctx, i, rankedEntities+i, 2*n)
	}); err != nil {
		return err
	}
	w.audit(uint64(sharing.Entering.Count) * n)
	return nil
}

const changesOfAKind = 20

// each does a number of changes of one kind, each of which leads to so many frames, and
// counts.
func (w *windowRun) each(ctx context.Context, c *Changes, frames int, change func(i int) error) error {
	before, err := w.count(ctx, 0)
	if err != nil {
		return err
	}
	for i := range changesOfAKind {
		if err := change(i); err != nil {
			return err
		}
	}
	n := len(w.swarm.members())
	after, err := w.count(ctx, before.deliveries+changesOfAKind*frames*n)
	c.Count = changesOfAKind
	c.set(before, after)
	return err
}

// outside changes entities that are in the lower half, before and after: it moves some,
// changes some in place, deletes others and makes new ones; one by one and together.
func (w *windowRun) outside(ctx context.Context) (n int, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	mutation := func(i int) string {
		entity, rank := random.IntN(rankedEntities/4), random.IntN(rankedEntities/2)
		head := fmt.Sprintf(`{"entity":%q,"key":`, w.typ)
		switch i % 4 {
		case 0:
			return head + fmt.Sprintf(`%q,"data":{"rank":%d}}`, rankedKey(entity), rank)
		case 1:
			return head + fmt.Sprintf(`%q,"data":{"title":"renamed"}}`, rankedKey(entity))
		case 2:
			return head + fmt.Sprintf(`%q,"op":"delete"}`, rankedKey(rankedEntities/4+i))
		default:
			return head + fmt.Sprintf(`"new-%d","op":"upsert","data":{"rank":%d}}`, i, rank)
		}
	}
	const alone, together = 100, 100
	for i := range alone {
		if err := w.mutate(ctx, mutation(i)); err != nil {
			return 0, err
		}
	}
	list := make([]string, 0, together)
	for i := range together {
		list = append(list, mutation(alone+i))
	}
	return alone + together, w.mutate(ctx, strings.Join(list, ","))
}

func (w *windowRun) mutate(ctx context.Context, list string) error {
	return w.poster.must(ctx, w.poster.path, []byte(`{"mutations":[`+list+`]}`))
}

// stamped gives the entity that began with one rank a stamp and another rank, and waits until
// the connections have received so many frames.
func (w *windowRun) stamped(ctx context.Context, entity, rank int, frames uint64) error {
	w.data = appendStamp(w.data[:0], w.swarm.mark, stamp{slot: noSlot, seq: w.seq, at: w.swarm.clock.now()}, w.o.Payload)
	w.seq++
	want := w.swarm.snapshot().frames + frames
	data := `{"d":"` + string(w.data) + `"`
	if rank != entity {
		data += `,"rank":` + strconv.Itoa(rank)
	}
	if err := w.mutate(ctx, fmt.Sprintf(`{"entity":%q,"key":%q,"data":%s}}`, w.typ, rankedKey(entity), data)); err != nil {
		return err
	}
	for begun := time.Now(); w.swarm.snapshot().frames < want; {
		if w.isStalled || time.Since(begun) > drainTimeout {
			w.isStalled = true
			return nil // what is missing is found when the books are closed
		}
		if !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// tallies is what has been counted so far.
type tallies struct {
	publications, encodings, deliveries, writes int
	received                                    counts
}

func (c *Changes) set(from, to tallies) {
	c.Publications, c.Encodings = to.publications-from.publications, to.encodings-from.encodings
	c.Deliveries, c.Writes = to.deliveries-from.deliveries, to.writes-from.writes
	c.Frames, c.Bytes = to.received.frames-from.received.frames, to.received.bytes-from.received.bytes
}

// count reads the server's counters. They are written at the end of a round: it waits a
// moment for so many deliveries to be in them.
func (w *windowRun) count(ctx context.Context, deliveries int) (t tallies, err error) {
	for begun := time.Now(); ; {
		pause(ctx, 50*time.Millisecond)
		page, err := w.target.page(ctx)
		if err != nil {
			return t, fmt.Errorf("the server's counters: %w", err)
		}
		counters := parseCounters(page)
		t = tallies{
			int(counters["millrace_view_publications_total"]), int(counters["millrace_hub_encodings_total"]),
			int(counters["millrace_hub_deliveries_total"]), int(counters["millrace_hub_writes_total"]),
			w.swarm.snapshot(),
		}
		if _, ok := counters["millrace_hub_encodings_total"]; !ok {
			return t, errors.New("the server's metrics page does not say how often it encodes")
		}
		if t.deliveries >= deliveries || time.Since(begun) > drainTimeout {
			return t, ctx.Err()
		}
	}
}

// audit closes the books: each connection must have had every stamp once and in order, and
// beyond that one deletion for each change that made a row leave.
func (w *windowRun) audit(deletions uint64) {
	d, n := w.result.Delivery, w.swarm.snapshot()
	members := w.swarm.members()
	d.Expected = uint64(w.seq) * uint64(len(members))
	d.Received, d.Duplicates, d.Late, d.Stray = n.received, n.duplicate, n.late, n.stray
	d.Malformed = max(n.malformed, deletions) - min(n.malformed, deletions)
	sent := [][]uint32{{w.seq}}
	chains := make([]map[uint64]uint64, 1)
	for _, m := range members {
		m.sub.audit(sent, chains, d)
	}
}
