package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// crowdPrefix begins the names of types with many entities.
const crowdPrefix = "crowd-"

// lag is what a slow reader of a long snapshot did.
type lag struct {
	rows    int       // of the snapshot
	quiet   []*Result // of those who watch single changes, without the slow reader
	slow    []*Result // and beside it
	arrived []int64   // rows it had when the others had been measured
	sent    []float64 // rows the server had sent or queued for it then
	catchUp []time.Duration
	misses  []error // it ended with another state than the server's; by round

	// Of the server in the last round, in bytes: with nobody connected, and with the slow reader
	// in the middle of its snapshot. Resident memory is that of a quiet server, which returns
	// its garbage; what a first slow reader leaves in it for good is there before.
	heapBefore, heapDuring int64
	rssBefore, rssDuring   int64
}

// lagRun measures a lag.
type lagRun struct {
	lag
	reporter *reporter
	child    *Child
	o        Options // of those who watch beside it
	typ      string
	poster   *poster
	target   *target
}

func (r *reporter) newLag(ctx context.Context, c *Child) (*lagRun, error) {
	p := r.plan.views
	l := &lagRun{reporter: r, child: c, lag: lag{rows: p.crowd}, o: Options{
		URL: c.URL, MetricsURL: c.MetricsURL, ServerPID: c.PID(),
		App: DevelopmentApp, Key: DevelopmentKey, Secret: DevelopmentSecret,
		Views: true, NoSnapshot: true, Prefix: crowdPrefix, Channels: 1, Connections: p.bystanders,
		Rate: 100, Warmup: p.warmup, Duration: p.slowDuration, Settle: 100 * time.Millisecond,
	}}
	if err := l.o.Validate(); err != nil {
		return nil, err
	}
	l.typ = l.o.channelNames()[0]
	var missing []error
	if l.target, missing = newTarget(ctx, &l.o); len(missing) > 0 {
		l.target.close()
		return nil, errors.Join(missing...)
	}
	var err error
	if l.poster, err = newPoster(&l.o); err != nil {
		return nil, err
	}
	r.say("filling %d entities", p.crowd)
	if err := fillType(ctx, l.poster, l.typ, p.crowd); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// weigh is what is reachable in the server and what is resident, once it is quiet.
func (l *lagRun) weigh(ctx context.Context) (heap, rss int64, err error) {
	rss = l.target.settled(ctx, l.reporter.plan.views.slowSettle, settleMost)
	heap, err = l.target.heap(ctx)
	return heap, rss, err
}

func (l *lagRun) close() {
	l.poster.close()
	l.target.close()
}

// round measures the others without a slow reader and with one, and in the last round what
// that costs in memory; then it changes what is being sent, lets the reader catch up and
// compares.
func (l *lagRun) round(ctx context.Context, i int) error {
	r, isLast, fence := l.reporter, i == l.reporter.plan.views.slowRounds-1, fmt.Sprintf("fence-%d", i)
	quiet, err := r.run(ctx, "100 mutations/s", nameViews, FanOut, l.child, l.o)
	if err != nil {
		return err
	}
	l.quiet = append(l.quiet, quiet)
	if isLast {
		if l.heapBefore, l.rssBefore, err = l.weigh(ctx); err != nil {
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
	l.sent = append(l.sent, l.sentRows(ctx)-before)
	if isLast {
		reader.stop()
		l.heapDuring, l.rssDuring, err = l.weigh(ctx)
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
	case <-time.After(openTimeout):
		return errors.New("slow reader: nothing arrives")
	}
	name := fmt.Sprintf("100 mutations/s beside a snapshot of %d", l.rows)
	slow, err := l.reporter.run(ctx, name, nameViews, FanOut, l.child, l.o)
	if err != nil {
		return err
	}
	l.slow, l.arrived = append(l.slow, slow), append(l.arrived, reader.arrived.Load())
	return nil
}

func (l *lagRun) sentRows(ctx context.Context) float64 {
	page, _ := l.target.page(ctx) // on error it is unknown
	return parseCounters(page)["millrace_view_snapshot_rows_total"]
}

// disturb changes, deletes and makes entities, last of all the fence.
func (l *lagRun) disturb(ctx context.Context, round int, fence string) error {
	const each = 200
	random := rand.New(rand.NewPCG(uint64(round), 8))
	list := make([]string, 0, 3*each+1)
	for i := range each {
		list = append(list,
			fmt.Sprintf(`{"entity":%q,"key":%q,"data":{"status":"changed in round %d"}}`, l.typ, rankedKey(random.IntN(l.rows)), round),
			fmt.Sprintf(`{"entity":%q,"key":%q,"op":"delete"}`, l.typ, rankedKey(random.IntN(l.rows))),
			fmt.Sprintf(`{"entity":%q,"key":"new-%d-%d","op":"upsert","data":{"rank":%d}}`, l.typ, round, i, i))
	}
	list = append(list, fmt.Sprintf(`{"entity":%q,"key":%q,"op":"upsert","data":{"rank":0}}`, l.typ, fence))
	return l.poster.must(ctx, l.poster.path, []byte(`{"mutations":[`+strings.Join(list, ",")+`]}`))
}

// finish lets the reader catch up and compares what it has with what the server has.
func (l *lagRun) finish(ctx context.Context, reader *slowReader) error {
	begun := time.Now()
	err := reader.catchUp()
	l.catchUp = append(l.catchUp, time.Since(begun))
	if err == nil {
		err = reader.compare(ctx, &l.o, l.typ+"/list")
	}
	l.misses = append(l.misses, err)
	if err != nil {
		l.reporter.report.Faults = append(l.reporter.report.Faults, fmt.Sprintf("slow reader: %v", err))
	}
	return ctx.Err()
}
