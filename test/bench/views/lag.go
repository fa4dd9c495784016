package views

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/probe"
)

// crowdPrefix begins the names of types with many entities.
const crowdPrefix = "crowd-"

// Lag is what a slow reader of a long snapshot did.
type Lag struct {
	Rows    int             // of the snapshot
	Quiet   []*bench.Result // of those who watch single changes, without the slow reader
	Slow    []*bench.Result // and beside it
	Arrived []int64         // rows it had when the others had been measured
	Sent    []float64       // rows the server had sent or queued for it then
	CatchUp []time.Duration
	Misses  []error // it ended with another state than the server's; by round

	// Of the server in the last round, in bytes: without connections, and with the slow reader
	// in the middle of its snapshot. Resident memory is measured while the server is quiet and has
	// returned its garbage; what a first slow reader leaves in it for good is there before.
	HeapBefore, HeapDuring int64
	RSSBefore, RSSDuring   int64
}

// LagPlan says how much [MeasureLag] does.
type LagPlan struct {
	Rows       int // entities of the long snapshot
	Bystanders int // connections that watch while it is sent
	Rounds     int
	Warmup     time.Duration
	Duration   time.Duration
	Settle     time.Duration // before the memory of the server is measured
	SettleMost time.Duration // bound of the wait for memory that falls after Settle
}

// startTimeout bounds the time until a slow reader has its first bytes.
const startTimeout = 15 * time.Second

// FanOut is one run of [bench.FanOut], kept under a name.
type FanOut func(ctx context.Context, name string, o bench.Options) (*bench.Result, error)

// MeasureLag fills the server of o with many entities and, round by round, measures those who watch
// single changes without and beside a slow reader of all of them.
func MeasureLag(ctx context.Context, o bench.Options, p LagPlan, fanOut FanOut) (*Lag, error) {
	l, err := newLag(ctx, o, p, fanOut)
	if err != nil {
		return nil, err
	}
	defer l.close()
	for i := range p.Rounds {
		if err := l.round(ctx, i); err != nil {
			return nil, err
		}
	}
	return &l.Lag, nil
}

// lagRun measures a lag.
type lagRun struct {
	Lag
	plan   LagPlan
	fanOut FanOut
	o      bench.Options // of those who watch beside it
	typ    string
	poster *bench.Poster
	server *probe.Server
}

func newLag(ctx context.Context, o bench.Options, p LagPlan, fanOut FanOut) (*lagRun, error) {
	o.Views, o.NoSnapshot, o.Prefix, o.Channels, o.Connections = true, true, crowdPrefix, 1, p.Bystanders
	o.Rate, o.Warmup, o.Duration, o.Settle = 100, p.Warmup, p.Duration, 100*time.Millisecond
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l := &lagRun{Lag: Lag{Rows: p.Rows}, plan: p, fanOut: fanOut, o: o, typ: o.ChannelNames()[0]}
	var missing []error
	if l.server, missing = probe.Find(ctx, probe.Where{URL: o.URL, PID: o.ServerPID, MetricsURL: o.MetricsURL}); len(missing) > 0 {
		l.server.Close()
		return nil, errors.Join(missing...)
	}
	var err error
	if l.poster, err = bench.NewPoster(&l.o); err != nil {
		return nil, err
	}
	if err := Fill(ctx, l.poster, l.typ, p.Rows); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// weigh is what is reachable in the server and what is resident, once it is quiet.
func (l *lagRun) weigh(ctx context.Context) (heap, rss int64, err error) {
	rss = l.server.Settled(ctx, l.plan.Settle, l.plan.SettleMost)
	heap, err = l.server.Heap(ctx)
	return heap, rss, err
}

func (l *lagRun) close() {
	l.poster.Close()
	l.server.Close()
}

// round measures the others without a slow reader and with one, and in the last round what
// that costs in memory; then it changes what is being sent, lets the reader catch up and
// compares.
func (l *lagRun) round(ctx context.Context, i int) error {
	isLast, fence := i == l.plan.Rounds-1, fmt.Sprintf("fence-%d", i)
	quiet, err := l.fanOut(ctx, "100 mutations/s", l.o)
	if err != nil {
		return err
	}
	l.Quiet = append(l.Quiet, quiet)
	if isLast {
		if l.HeapBefore, l.RSSBefore, err = l.weigh(ctx); err != nil {
			return err
		}
	}
	before := l.sentRows(ctx)
	reader, err := startSlow(ctx, &l.o, l.typ+"/list", fence)
	if err != nil {
		return fmt.Errorf("slow reader: %w", err)
	}
	if err := l.beside(ctx, reader); err != nil {
		reader.close()
		return err
	}
	l.Sent = append(l.Sent, l.sentRows(ctx)-before)
	if isLast {
		reader.stop()
		l.HeapDuring, l.RSSDuring, err = l.weigh(ctx)
	}
	if err := errors.Join(err, l.disturb(ctx, i, fence)); err != nil {
		reader.close()
		return err
	}
	return l.finish(ctx, reader)
}

// beside measures the others while the slow reader reads.
func (l *lagRun) beside(ctx context.Context, reader *slowReader) error {
	select {
	case <-reader.started:
	case <-time.After(startTimeout):
		return errors.New("slow reader: nothing arrives")
	}
	name := fmt.Sprintf("100 mutations/s beside a snapshot of %d", l.Rows)
	slow, err := l.fanOut(ctx, name, l.o)
	if err != nil {
		return err
	}
	l.Slow, l.Arrived = append(l.Slow, slow), append(l.Arrived, reader.arrived.Load())
	return nil
}

func (l *lagRun) sentRows(ctx context.Context) float64 {
	counters, _ := l.server.Counters(ctx) // on error it is unknown
	return counters["millrace_view_snapshot_rows_total"]
}

// disturb changes, deletes and makes entities, last of all the fence.
func (l *lagRun) disturb(ctx context.Context, round int, fence string) error {
	const each = 200
	random := rand.New(rand.NewPCG(uint64(round), 8))
	list := make([]string, 0, 3*each+1)
	for i := range each {
		list = append(list,
			fmt.Sprintf(`{"entity":%q,"key":%q,"data":{"status":"changed in round %d"}}`, l.typ, rankedKey(random.IntN(l.Rows)), round),
			fmt.Sprintf(`{"entity":%q,"key":%q,"op":"delete"}`, l.typ, rankedKey(random.IntN(l.Rows))),
			fmt.Sprintf(`{"entity":%q,"key":"new-%d-%d","op":"upsert","data":{"rank":%d}}`, l.typ, round, i, i))
	}
	list = append(list, fmt.Sprintf(`{"entity":%q,"key":%q,"op":"upsert","data":{"rank":0}}`, l.typ, fence))
	return l.poster.Must(ctx, l.poster.Of("mutations"), []byte(`{"mutations":[`+strings.Join(list, ",")+`]}`))
}

// finish lets the reader catch up and compares what it has with what the server has.
func (l *lagRun) finish(ctx context.Context, reader *slowReader) error {
	begun := time.Now()
	err := reader.catchUp()
	l.CatchUp = append(l.CatchUp, time.Since(begun))
	if err == nil {
		err = reader.compare(ctx, &l.o, l.typ+"/list")
	}
	l.Misses = append(l.Misses, err)
	return ctx.Err()
}
