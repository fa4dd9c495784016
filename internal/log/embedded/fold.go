package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

const (
	// sliceLength is how long an append may have to wait for a slice of folding, while the tail has
	// less than calm times Options.FoldAt.
	sliceLength = 4 * time.Millisecond
	calm        = 2
	// maxRows is how many records of one topic are folded in a row at most.
	maxRows = 1024
	// maxStates is how many topics the folder remembers from one fold to the next.
	maxStates = 1 << 16
)

// order is what others want from the folder.
type order struct {
	do     func(ctx context.Context) error
	answer chan<- error
}

// folder brings the tail into the tables. One goroutine owns it, after load.
type folder struct {
	*Log
	states    map[protocol.Topic]*topicState // of topics that were folded lately
	lastTopic int64                          // the greatest id
	marks     []mark                         // what was folded and is not trimmed yet

	// Of a slice.
	records, topics []any
}

// mark is a range of entries that were folded.
type mark struct {
	last  log.Index
	bytes int64
	at    time.Time
}

func newFolder(l *Log) folder {
	return folder{Log: l, states: map[protocol.Topic]*topicState{}}
}

func (f *folder) load(ctx context.Context) error {
	if f.folded > f.trimmed {
		f.marks = []mark{{last: f.folded, at: f.o.Now()}}
	}
	return f.db.Reader().QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM log_topics").Scan(&f.lastTopic)
}

// run works until ctx ends.
func (f *folder) run(ctx context.Context) {
	defer close(f.ended)
	sweep := time.NewTicker(f.o.SweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-f.orders:
			o.answer <- o.do(ctx)
		case <-f.wake:
			for err := error(nil); err == nil && f.unfolded.Load() >= f.o.FoldAt; {
				err = f.fold(ctx)
				f.report(ctx, "fold the log", err)
			}
			f.report(ctx, "trim the log", f.trimOld(ctx))
		case <-sweep.C:
			f.report(ctx, "remove old records", f.sweep(ctx))
			f.report(ctx, "trim the log", f.trimOld(ctx))
		}
	}
}

// report tells of a failure. The next append is the next try, and appends say themselves what is wrong
// with the disk.
func (f *folder) report(ctx context.Context, step string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	f.o.Metrics.failures.Inc()
	f.o.Log.Warn("maintenance of the log failed", "step", step, "err", f.db.Explain(err))
}

// ask has the folder do something.
func (l *Log) ask(ctx context.Context, do func(ctx context.Context) error) error {
	answer := make(chan error, 1)
	select {
	case l.orders <- order{do, answer}:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ended:
		return log.ErrClosed
	}
	select {
	case err := <-answer:
		return l.db.Explain(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Fold brings all that is stored into the fold. It is not needed: the log folds by itself.
func (l *Log) Fold(ctx context.Context) error { return l.ask(ctx, l.folder.fold) }

// fold brings the tail, as it is now, into the tables.
func (f *folder) fold(ctx context.Context) error {
	start := time.Now()
	g := f.nextGeneration()
	if g == nil {
		return nil
	}
	work, err := f.workOf(ctx, g)
	for rest := work; err == nil && len(rest) > 0; {
		rest, err = f.foldSlice(ctx, rest)
	}
	if err == nil {
		err = f.finish(ctx, g)
	}
	if err != nil {
		clear(f.states) // they may be ahead of the tables
		return err
	}
	if len(f.states) > maxStates {
		clear(f.states)
	}
	f.marks = append(f.marks, mark{g.last, g.bytes, f.o.Now()})
	f.o.Metrics.tail.Set(float64(f.unfolded.Add(-g.bytes)))
	f.o.Metrics.folded.Add(float64(g.records))
	f.o.Metrics.folds.Observe(time.Since(start).Seconds())
	return nil
}

// nextGeneration is what is to be folded: what a fold that failed has left, or else all that is fresh;
// nil if there is nothing.
func (f *folder) nextGeneration() *generation {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &f.tail
	if t.folding == nil && t.fresh.last > 0 {
		t.folding, t.fresh = t.fresh, newGeneration()
	}
	return t.folding
}

// finish makes the index of the fold durable; then the tail needs the generation no longer.
func (f *folder) finish(ctx context.Context, g *generation) error {
	err := f.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE log_state SET folded = ?", int64(g.last))
		return err
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.folded, f.tail.folding = g.last, nil
	return nil
}

// work is a run with the state of its topic.
type work struct {
	state *topicState
	run   *run
	done  int // of its publications
}

// workOf finds the topics of a generation, in the order of the tables.
func (f *folder) workOf(ctx context.Context, g *generation) ([]work, error) {
	all := make([]work, 0, len(g.runs))
	for topic, r := range g.runs {
		s, err := f.state(ctx, topic)
		if err != nil {
			return nil, err
		}
		all = append(all, work{state: s, run: r})
	}
	slices.SortFunc(all, func(a, b work) int { return cmp.Compare(a.state.id, b.state.id) })
	return all, nil
}

// state is the state of a topic, which may be new.
func (f *folder) state(ctx context.Context, topic protocol.Topic) (*topicState, error) {
	if s := f.states[topic]; s != nil {
		return s, nil
	}
	s, err := findTopic(ctx, f.statements.topic, topic)
	if err != nil {
		return nil, err
	}
	if s.id == 0 {
		f.lastTopic++
		s.id = f.lastTopic
	}
	f.states[topic] = &s
	return &s, nil
}

// slice runs fn in a transaction; fn stops at a good place once isOver. When the tail grows, so do
// the slices: so folding keeps up with any rate of appends.
func (f *folder) slice(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx, isOver func() bool) error) error {
	length := sliceLength * time.Duration(max(1, 2*f.unfolded.Load()/(calm*f.o.FoldAt)))
	return f.db.WriteFor(ctx, length, fn)
}

// foldSlice folds a beginning of the work and returns the rest.
func (f *folder) foldSlice(ctx context.Context, all []work) ([]work, error) {
	before, now := len(all), f.o.Now()
	err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
		f.records, f.topics = f.records[:0], f.topics[:0]
		for len(all) > 0 && !isOver() {
			for n := min(rowsPerInsert, len(all)); n > 0; n-- {
				isWhole, err := f.foldRun(ctx, tx, &all[0], now)
				if err != nil {
					return err
				}
				if !isWhole {
					break
				}
				all = all[1:]
			}
		}
		if err := f.flushRecords(ctx, tx, 1); err != nil {
			return err
		}
		return f.flushTopics(ctx, tx, 1)
	})
	clear(f.records[:cap(f.records)]) // or it would keep the envelopes alive
	if err != nil {
		return all, err
	}
	return all, f.db.Rewrote(ctx, int64(before-len(all))*2*sqlite.PageSize)
}

// foldRun brings one run into the tables, or a beginning of it; isWhole says which.
func (f *folder) foldRun(ctx context.Context, tx *sql.Tx, w *work, now time.Time) (isWhole bool, err error) {
	s, r := w.state, w.run
	if r.last <= s.applied {
		return true, nil // a fold that was interrupted had come so far
	}
	if s.stream == "" && r.next == 0 {
		return true, nil // a purge of a topic that has nothing
	}
	limits := limitsAt(f.o.Retention(s.topic), now)
	if r.next > 0 && s.stream != r.stream {
		if err := f.removeBelow(ctx, tx, s, s.next); err != nil {
			return false, err
		}
		s.begin(r.stream)
	}
	isWhole, err = f.insert(ctx, tx, w, limits)
	if err != nil {
		return false, err
	}
	floor := uint64(0)
	if s.stream == r.stream {
		floor = r.floor
	}
	if isWhole {
		s.applied = r.last
	}
	if err := f.cut(ctx, tx, s, limits, floor, false); err != nil {
		return false, err
	}
	f.topics = s.cells(f.topics)
	return isWhole, f.flushTopics(ctx, tx, rowsPerInsert)
}

// insert adds the publications of a run that the topic does not have, or so many of them that the
// slice does not become too long. Of more than Count allows it inserts only those that stay.
func (f *folder) insert(ctx context.Context, tx *sql.Tx, w *work, limits limits) (isWhole bool, err error) {
	s, rest, floor := w.state, w.run.publications[w.done:], limits.floor(w.run.next)
	isLong := len(rest) > maxRows
	for i := range rest[:min(len(rest), maxRows)] {
		p := rest[i]
		w.done++
		if p.index <= s.applied || p.Serial < s.next {
			continue // a fold that was interrupted had come so far
		}
		if isLong && p.Serial < floor {
			if err := f.removeBelow(ctx, tx, s, s.next); err != nil {
				return false, err
			}
			s.next, s.lastTime = p.Serial+1, p.Time
			s.first = s.next
			continue
		}
		envelope := p.Envelope()
		f.records = append(f.records, s.id, int64(p.Serial), p.Time, envelope)
		if s.first == s.next {
			s.first, s.firstTime = p.Serial, p.Time
		}
		s.next, s.lastTime, s.bytes = p.Serial+1, p.Time, s.bytes+int64(len(envelope))
		if err := f.flushRecords(ctx, tx, rowsPerInsert); err != nil {
			return false, err
		}
	}
	return w.done == len(w.run.publications), nil
}

// flushRecords writes the records that wait once there are so many.
func (f *folder) flushRecords(ctx context.Context, tx *sql.Tx, atLeast int) (err error) {
	f.records, err = flush(ctx, tx, f.records, recordCells, atLeast, f.statements.insertOne, f.statements.insertMany)
	return err
}

// flushTopics writes the rows of topics that wait once there are so many.
func (f *folder) flushTopics(ctx context.Context, tx *sql.Tx, atLeast int) (err error) {
	f.topics, err = flush(ctx, tx, f.topics, topicCells, atLeast, f.statements.topicOne, f.statements.topicMany)
	return err
}

func flush(ctx context.Context, tx *sql.Tx, cells []any, perRow, atLeast int, one, many *sql.Stmt) ([]any, error) {
	if len(cells) < perRow*atLeast {
		return cells, nil
	}
	rest := cells
	for len(rest) > 0 {
		statement, n := one, perRow
		if len(rest) >= perRow*rowsPerInsert {
			statement, n = many, perRow*rowsPerInsert
		}
		if _, err := tx.StmtContext(ctx, statement).ExecContext(ctx, rest[:n]...); err != nil {
			return cells, err
		}
		rest = rest[n:]
	}
	return cells[:0], nil
}
