package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/block"
	"github.com/millrace/millrace/internal/log/tail"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

const (
	// calm times Options.FoldAt is what a tail may have without longer slices of folding.
	calm = 2
	// maxRun is how many records of one topic are folded in a row at most.
	maxRun = 1024
	// roomBytes is how much room the bodies of blocks have that are written together.
	roomBytes = rowsPerInsert * block.MaxBytes
	// maxStates is how many topics the folder remembers from one fold to the next.
	maxStates = 1 << 16
)

// folder brings the tail into the tables. One goroutine owns it, after load.
type folder struct {
	*Log
	states     map[protocol.Topic]*topicState // of topics that were folded lately
	lastTopic  int64                          // the greatest id
	marks      []mark                         // what was folded and is not trimmed yet
	isNearFull bool                           // the operator was warned

	// Of a slice.
	blocks, topics []any       // cells of rows that wait to be written
	block          block.Block // the one that is being made
	room           []byte      // of the bodies of blocks
	cuts           []cut       // to be made when the blocks are written
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
	f.maintainer.Run(ctx, f.o.SweepEvery, f.foldWhileDue, f.tidy)
}

// tidy does what a log with few appends needs: its tail stays short, and nothing too old stays.
func (f *folder) tidy(ctx context.Context) {
	f.db.Report(ctx, "fold the log", f.fold(ctx))
	f.db.Report(ctx, "remove old records of the log", f.sweep(ctx))
	f.db.Report(ctx, "make the log smaller", f.fit(ctx))
	f.db.Report(ctx, "trim the log", f.trimOld(ctx))
}

// foldWhileDue folds until the tail is short. After a failure the next append is the next try.
func (f *folder) foldWhileDue(ctx context.Context) {
	for err := error(nil); err == nil && f.unfolded.Load() >= f.o.FoldAt; {
		err = f.fold(ctx)
		f.db.Report(ctx, "fold the log", err)
	}
	f.db.Report(ctx, "make the log smaller", f.fit(ctx))
	f.db.Report(ctx, "trim the log", f.trimOld(ctx))
}

// ask has the folder do something.
func (l *Log) ask(ctx context.Context, do func(ctx context.Context) error) error {
	err := l.maintainer.Do(ctx, do)
	if errors.Is(err, sqlite.ErrEnded) {
		return log.ErrClosed
	}
	return l.db.Explain(err)
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
	for rest := g.Edges; err == nil && len(rest) > 0; {
		rest, err = f.foldEdges(ctx, rest)
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
	f.marks = append(f.marks, mark{g.Last, g.Bytes, f.o.Now()})
	f.o.Metrics.tail.Set(float64(f.unfolded.Add(-g.Bytes)))
	f.lag.Add(-int64(g.Records))
	f.o.Metrics.folded.Add(float64(g.Records))
	f.o.Metrics.folds.Observe(time.Since(start).Seconds())
	return nil
}

// nextGeneration is what is to be folded: what a fold that failed has left, or else all that is fresh;
// nil if there is nothing.
func (f *folder) nextGeneration() *tail.Generation {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &f.tail
	if t.Folding == nil && t.Fresh.Last > 0 {
		t.Folding, t.Fresh = t.Fresh, tail.NewGeneration()
	}
	return t.Folding
}

// finish makes the index of the fold durable; then the tail needs the generation no longer.
func (f *folder) finish(ctx context.Context, g *tail.Generation) error {
	err := f.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE log_state SET folded = ?", int64(g.Last))
		return err
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.folded, f.tail.Folding = g.Last, nil
	return nil
}

// work is a run with the state of its topic.
type work struct {
	state *topicState
	run   *tail.Run
	done  int // of its publications
}

// workOf finds the topics of a generation, in the order of the tables.
func (f *folder) workOf(ctx context.Context, g *tail.Generation) ([]work, error) {
	all := make([]work, 0, len(g.Runs))
	for topic, r := range g.Runs {
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
		if f.lastTopic == block.MaxTopics {
			return nil, fmt.Errorf("the log has %d topics, and no room for %q", f.lastTopic, topic.Name)
		}
		f.lastTopic++
		s.id = f.lastTopic
	}
	f.states[topic] = &s
	return &s, nil
}

// slice runs fn in a transaction and writes the rows that then wait; fn stops at a good place once
// isOver.
func (f *folder) slice(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx, isOver func() bool) error) error {
	f.blocks, f.topics, f.room, f.block, f.cuts = f.blocks[:0], f.topics[:0], f.room[:0], block.Block{}, f.cuts[:0]
	defer func() { clear(f.blocks[:cap(f.blocks)]) }() // large bodies are not kept alive
	return f.db.Slice(ctx, f.unfolded.Load(), calm*f.o.FoldAt, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
		if err := fn(ctx, tx, isOver); err != nil {
			return err
		}
		return f.endSlice(ctx, tx)
	})
}

// endSlice writes what waits. Cuts come after the blocks that they must see.
func (f *folder) endSlice(ctx context.Context, tx *sql.Tx) error {
	if err := f.flushBlocks(ctx, tx, 1); err != nil {
		return err
	}
	for i := range f.cuts {
		if err := f.cut(ctx, tx, &f.cuts[i]); err != nil {
			return err
		}
		if err := f.putTopic(ctx, tx, f.cuts[i].topicState); err != nil {
			return err
		}
	}
	if err := f.flushBlocks(ctx, tx, 1); err != nil {
		return err
	}
	return f.flushTopics(ctx, tx, 1)
}

// foldSlice folds a beginning of the work and returns the rest.
func (f *folder) foldSlice(ctx context.Context, all []work) ([]work, error) {
	before, now := len(all), f.o.Now()
	err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
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
		return nil
	})
	if err != nil {
		return all, err
	}
	return all, f.db.Rewrote(ctx, int64(before-len(all))*2*sqlite.PageSize)
}

// foldRun brings one run into the tables, or a beginning of it; isWhole says which.
func (f *folder) foldRun(ctx context.Context, tx *sql.Tx, w *work, now time.Time) (isWhole bool, err error) {
	s, r := w.state, w.run
	if r.Last <= s.applied {
		return true, nil // a fold that was interrupted had come so far
	}
	if s.stream == "" && r.Next == 0 {
		return true, nil // a purge of a topic that has nothing
	}
	if r.Next > 0 && s.stream != r.Stream {
		if err := f.removeAll(ctx, tx, s); err != nil {
			return false, err
		}
		s.begin(r.Stream)
	}
	c := cut{topicState: s, limits: block.LimitsAt(f.o.Retention(s.topic), now)}
	isWhole, err = f.insert(ctx, tx, w, c.limits)
	if err != nil {
		return false, err
	}
	if s.stream == r.Stream {
		c.purged = r.Floor
	}
	if isWhole {
		s.applied = r.Last
	}
	if !c.isDue() {
		return isWhole, f.putTopic(ctx, tx, s)
	}
	if n := len(f.cuts); n == 0 || f.cuts[n-1].topicState != s { // otherwise its run was not whole
		f.cuts = append(f.cuts, c)
	}
	return isWhole, nil
}

// putTopic has the row of a topic written.
func (f *folder) putTopic(ctx context.Context, tx *sql.Tx, s *topicState) error {
	f.topics = s.cells(f.topics)
	return f.flushTopics(ctx, tx, rowsPerInsert)
}

// insert adds the publications of a run that the topic does not have, or so many of them that the
// slice does not become too long. Of more than Count allows it inserts only those that stay.
func (f *folder) insert(ctx context.Context, tx *sql.Tx, w *work, limits block.Limits) (isWhole bool, err error) {
	s, rest, floor := w.state, w.run.Publications[w.done:], limits.Floor(w.run.Next)
	isLong := len(rest) > maxRun
	for i := range rest[:min(len(rest), maxRun)] {
		p := rest[i]
		w.done++
		if p.Index <= s.applied || p.Serial < s.next {
			continue // a fold that was interrupted had come so far
		}
		isPassed := isLong && p.Serial < floor
		if isPassed || p.Serial-s.first >= block.MaxKept {
			if err := f.removeAll(ctx, tx, s); err != nil {
				return false, err
			}
		}
		if isPassed {
			s.next, s.lastTime = p.Serial+1, p.Time
			s.first = s.next
			continue
		}
		if err := f.add(ctx, tx, s, p); err != nil {
			return false, err
		}
	}
	return w.done == len(w.run.Publications), f.endBlock(ctx, tx)
}

// add puts a publication into the block that is being made, or into another.
func (f *folder) add(ctx context.Context, tx *sql.Tx, s *topicState, p tail.Recent) error {
	body := p.Envelope()
	if f.block.Count > 0 && !f.block.Takes(p.Serial, len(body)) {
		if err := f.endBlock(ctx, tx); err != nil {
			return err
		}
	}
	if f.block.Count == 0 {
		if cap(f.room)-len(f.room) < block.MaxBytes {
			f.room = make([]byte, 0, roomBytes)
		}
		f.block = block.New(s.id, p.Serial, f.room)
	}
	f.block.Add(body, p.Time)
	if s.first == s.next {
		s.first, s.firstTime = p.Serial, p.Time
	}
	if f.block.First == s.first {
		s.firstTime = f.block.Oldest
	}
	s.next, s.lastTime, s.bytes = p.Serial+1, p.Time, s.bytes+int64(len(body))
	return nil
}

// endBlock has the block that is being made written, if there is one.
func (f *folder) endBlock(ctx context.Context, tx *sql.Tx) error {
	if f.block.Count == 0 {
		return nil
	}
	f.blocks = f.block.Cells(f.blocks)
	if end := len(f.room) + len(f.block.Body); end <= cap(f.room) { // otherwise the body has grown out of it
		f.room = f.room[:end]
	}
	f.block = block.Block{}
	return f.flushBlocks(ctx, tx, rowsPerInsert)
}

// flushBlocks writes the blocks that wait once there are so many.
func (f *folder) flushBlocks(ctx context.Context, tx *sql.Tx, atLeast int) (err error) {
	f.blocks, err = flush(ctx, tx, f.blocks, block.NumCells, atLeast, f.statements.insertOne, f.statements.insertMany)
	if len(f.blocks) == 0 {
		f.room = f.room[:0]
	}
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
