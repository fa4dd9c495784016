package views

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bench"
)

const (
	// ranked is the derived view of a type that is sorted by rank, with a window of Top rows.
	ranked = "ranked"
	// Top is how many rows the window shows.
	Top = 100
	// Ranked is how many entities are behind it, ranked 0 to Ranked-1: those from shown on are in
	// the window.
	Ranked = 10_000
	shown  = Ranked - Top
)

// Sharing is what changes of the entities behind one window cost, which all connections watch.
type Sharing struct {
	Load *bench.Result `json:"-"` // the connections, and what was lost, doubled or out of order

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

// ScenarioWindow is what the result of [MeasureSharing] is called.
const ScenarioWindow = "window"

// MeasureSharing changes entities behind a window of 100 rows that all connections watch, one
// after the other, and counts what the server does and what the connections receive.
func MeasureSharing(ctx context.Context, o bench.Options) (*Sharing, error) {
	o.Views, o.View, o.Window, o.Rate, o.Channels, o.Publishers = true, ranked, 1, 0, 1, 1
	run, err := bench.Begin(ctx, o, ScenarioWindow)
	if err != nil {
		return nil, err
	}
	defer run.Stop()
	o = run.Options()
	w := &windowRun{run: run, typ: o.ChannelNames()[0]}
	if w.poster, err = bench.NewPoster(&o); err != nil {
		return nil, err
	}
	defer w.poster.Close()
	if err := w.fill(ctx); err != nil {
		return nil, err
	}
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	w.watchers = uint64(run.Result().Opening.Opened)
	w.sharing.Load = run.Result()
	if err := w.measure(ctx); err != nil {
		return nil, err
	}
	run.Finish(ctx)
	return &w.sharing, ctx.Err()
}

// windowRun is one run of [MeasureSharing].
type windowRun struct {
	run      *bench.Run
	poster   *bench.Poster
	typ      string
	sharing  Sharing
	watchers uint64 // connections
	seq      uint32 // stamped changes so far
	data     []byte

	isStalled bool // something did not come: nothing is waited for any more
}

// fill makes the entities and the view.
func (w *windowRun) fill(ctx context.Context) error {
	err := Fill(ctx, w.poster, w.typ, Ranked)
	if err != nil {
		return err
	}
	id := w.typ + "/" + ranked
	return w.poster.Must(ctx, w.poster.Of("views"), fmt.Appendf(nil,
		`{"id":%q,"source":%q,"sort":[{"field":"rank","order":"desc"}],"limit":%d}`, id, w.typ+"/list", Top))
}

// measure does the three kinds of changes. Nothing can be known to have come for a change
// outside until something has come for a later one inside: the first one is that.
func (w *windowRun) measure(ctx context.Context) error {
	sharing, n, initial := &w.sharing, w.watchers, w.run.Snapshot()
	sharing.Snapshot, sharing.SnapshotSent = int(initial.Full), int(initial.Sent)
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
	if err := w.stamped(ctx, shown+Top/2, shown+Top/2, n); err != nil {
		return err
	}
	behind, err := w.count(ctx, middle.deliveries+int(n))
	if err != nil {
		return err
	}
	sharing.Outside.set(start, middle)
	sharing.Outside.Frames = behind.received.Frames - start.received.Frames - n
	if err := w.each(ctx, &sharing.Inside, 1, func(i int) error {
		row := shown + 1 + i%(Top-2)
		return w.stamped(ctx, row, row, n)
	}); err != nil {
		return err
	}
	if err := w.each(ctx, &sharing.Entering, 2, func(i int) error {
		return w.stamped(ctx, i, Ranked+i, 2*n)
	}); err != nil {
		return err
	}
	w.audit(uint64(sharing.Entering.Count) * n)
	return nil
}

const (
	changesOfAKind = 20
	// deliveryTimeout is how long a delivery may take.
	deliveryTimeout = 3 * time.Second
)

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
	after, err := w.count(ctx, before.deliveries+changesOfAKind*frames*int(w.watchers))
	c.Count = changesOfAKind
	c.set(before, after)
	return err
}

// outside changes entities that are in the lower half, before and after: it moves some,
// changes some in place, deletes others and makes new ones; one by one and together.
func (w *windowRun) outside(ctx context.Context) (n int, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	mutation := func(i int) string {
		entity, rank := random.IntN(Ranked/4), random.IntN(Ranked/2)
		head := fmt.Sprintf(`{"entity":%q,"key":`, w.typ)
		switch i % 4 {
		case 0:
			return head + fmt.Sprintf(`%q,"data":{"rank":%d}}`, rankedKey(entity), rank)
		case 1:
			return head + fmt.Sprintf(`%q,"data":{"title":"renamed"}}`, rankedKey(entity))
		case 2:
			return head + fmt.Sprintf(`%q,"op":"delete"}`, rankedKey(Ranked/4+i))
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
	return w.poster.Must(ctx, w.poster.Of("mutations"), []byte(`{"mutations":[`+list+`]}`))
}

// stamped gives the entity that began with one rank a stamp and another rank, and waits until
// the connections have received so many frames.
func (w *windowRun) stamped(ctx context.Context, entity, rank int, frames uint64) error {
	w.data = w.run.AppendPayload(w.data[:0], 0, 0, w.seq)
	w.seq++
	want := w.run.Counts().Frames + frames
	data := `{"d":"` + string(w.data) + `"`
	if rank != entity {
		data += `,"rank":` + strconv.Itoa(rank)
	}
	if err := w.mutate(ctx, fmt.Sprintf(`{"entity":%q,"key":%q,"data":%s}}`, w.typ, rankedKey(entity), data)); err != nil {
		return err
	}
	for begun := time.Now(); w.run.Counts().Frames < want; {
		if w.isStalled || time.Since(begun) > deliveryTimeout {
			w.isStalled = true
			return nil // what is missing is found when the books are closed
		}
		if !bench.Pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// tallies is what has been counted so far.
type tallies struct {
	publications, encodings, deliveries, writes int
	received                                    bench.Counts
}

func (c *Changes) set(from, to tallies) {
	c.Publications, c.Encodings = to.publications-from.publications, to.encodings-from.encodings
	c.Deliveries, c.Writes = to.deliveries-from.deliveries, to.writes-from.writes
	c.Frames, c.Bytes = to.received.Frames-from.received.Frames, to.received.Bytes-from.received.Bytes
}

// count reads the server's counters. They are written at the end of a round: it waits a
// moment for so many deliveries to be in them.
func (w *windowRun) count(ctx context.Context, deliveries int) (t tallies, err error) {
	for begun := time.Now(); ; {
		bench.Pause(ctx, 50*time.Millisecond)
		counters, err := w.run.Server().Counters(ctx)
		if err != nil {
			return t, err
		}
		t = tallies{
			int(counters["millrace_view_publications_total"]), int(counters["millrace_hub_encodings_total"]),
			int(counters["millrace_hub_deliveries_total"]), int(counters["millrace_hub_writes_total"]),
			w.run.Counts(),
		}
		if _, ok := counters["millrace_hub_encodings_total"]; !ok {
			return t, errors.New("the server's metrics page does not say how often it encodes")
		}
		if t.deliveries >= deliveries || time.Since(begun) > deliveryTimeout {
			return t, ctx.Err()
		}
	}
}

// audit closes the books: each connection must have had every stamp once and in order, and
// beyond that one deletion for each change that made a row leave.
func (w *windowRun) audit(deletions uint64) {
	w.run.Account([][]uint32{{w.seq}})
	d := w.run.Result().Delivery
	d.Expected = uint64(w.seq) * w.watchers
	d.Malformed = max(d.Malformed, deletions) - min(d.Malformed, deletions)
}
