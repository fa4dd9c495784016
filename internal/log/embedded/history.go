package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/block"
	"github.com/millrace/millrace/internal/log/tail"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

const (
	pageLimit = 100
	pageBytes = 1 << 20
)

// Stream implements log.History.
func (l *Log) Stream(ctx context.Context, t protocol.Topic) (log.Stream, error) {
	var s log.Stream
	err := l.view(ctx, t, true, func(ctx context.Context, v *view) (err error) {
		s, err = v.state(ctx)
		return err
	})
	if err != nil {
		return log.Stream{}, fmt.Errorf("embedded log: stream: %w", l.db.Explain(err))
	}
	return s, nil
}

// Page implements log.History.
//
//millrace:hot BenchmarkPage
func (l *Log) Page(ctx context.Context, t protocol.Topic, q log.Query) (log.Page, error) {
	q.Limit, q.MaxBytes = cmp.Or(q.Limit, pageLimit), cmp.Or(q.MaxBytes, pageBytes)
	var p log.Page
	read := func(ctx context.Context, v *view) (err error) {
		p, err = v.page(ctx, &q)
		return err
	}
	r := l.o.Retention(t)
	inTransaction := q.WithState || q.Since != 0 || q.Until != 0 || r.Bytes > 0 || r.Age > 0
	err := l.view(ctx, t, inTransaction, read)
	if errors.Is(err, errChanged) {
		err = l.view(ctx, t, true, read)
	}
	if err != nil {
		return log.Page{}, fmt.Errorf("embedded log: page: %w", l.db.Explain(err))
	}
	return p, nil
}

// errChanged: the tables have changed between two statements, or it takes a transaction to know.
var errChanged = errors.New("the tables have changed")

// view is one topic at one moment: a row with its records, and what follows them in the tail.
type view struct {
	*Log
	block.Limits
	tx     *sql.Tx          // nil: statements may see different moments
	row    topicState       // without an id: the stream has no rows
	tail   [2][]tail.Recent // behind the rows
	stream string           // empty: the topic has none
	next   uint64
	floor  uint64 // what is below it was purged, or is beyond Count
}

// view calls fn with a topic as it is. The tail is taken before the tables are looked at, so that what
// is folded in between is seen, and left out where the tail has it. A transaction costs a fifth of a
// page; without one, fn has to find out whether what it reads belongs together.
func (l *Log) view(ctx context.Context, topic protocol.Topic, inTransaction bool, fn func(ctx context.Context, v *view) error) error {
	release, err := l.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	v := &view{Log: l, Limits: block.LimitsAt(l.o.Retention(topic), l.o.Now())}
	l.mu.Lock()
	runs, n := l.tail.RunsOf(topic)
	l.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // it is short, and the driver would start a goroutine for each statement
	if inTransaction {
		if v.tx, err = l.db.Reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
			return err
		}
		defer func() { _ = v.tx.Rollback() }() // it only reads
	}
	if v.row, err = findTopic(ctx, v.statement(ctx, l.statements.topic), topic); err != nil {
		return err
	}
	v.merge(runs[:n])
	return fn(ctx, v)
}

// statement is s as the view uses it.
func (v *view) statement(ctx context.Context, s *sql.Stmt) *sql.Stmt {
	if v.tx == nil {
		return s
	}
	return v.tx.StmtContext(ctx, s)
}

// merge puts runs behind the row.
func (v *view) merge(runs []tail.Run) {
	v.stream, v.next, v.floor = v.row.stream, v.row.next, 1
	for i := range runs {
		r := &runs[i]
		if r.Last <= v.row.applied {
			continue // it was folded before the row was read
		}
		if r.Next > 0 && r.Stream != v.stream { // it begins a stream
			v.stream, v.next, v.floor, v.tail = r.Stream, 1, 1, [2][]tail.Recent{}
			v.row.begin(r.Stream)
			v.row.id = 0
		}
		if r.Stream != v.stream {
			continue // a purge of a stream that is no more
		}
		v.next = max(v.next, r.Next)
		v.floor = max(v.floor, min(r.Floor, v.next))
		v.tail[i] = r.Publications[behind(r.Publications, v.row.next):]
	}
	v.floor = max(v.floor, v.Floor(v.next))
}

// behind is how many publications are below a serial.
func behind(all []tail.Recent, serial uint64) int {
	n, _ := slices.BinarySearchFunc(all, serial, func(p tail.Recent, serial uint64) int { return cmp.Compare(p.Serial, serial) })
	return n
}

// first is the first serial that is stored and not below the floor; next if there is none.
func (v *view) first() uint64 {
	first := v.next
	for _, part := range slices.Backward(v.tail[:]) {
		if len(part) > 0 {
			first = part[0].Serial
		}
	}
	if v.hasRows() {
		first = v.row.first
	}
	return min(max(first, v.floor), v.next)
}

func (v *view) hasRows() bool { return v.row.id != 0 && v.row.first < v.row.next }

// state is the stream, without what is beyond its limits.
func (v *view) state(ctx context.Context) (log.Stream, error) {
	if v.stream == "" {
		return log.Stream{}, nil
	}
	x := block.Excess{Limits: v.Limits, Floor: v.floor, Stored: v.row.bytes, First: v.next}
	for _, part := range v.tail {
		for i := range part {
			x.Stored += int64(part[i].Size())
		}
	}
	isOver := false
	if v.hasRows() {
		w := block.Walker{Heads: v.statement(ctx, v.statements.readHeads), Body: v.statement(ctx, v.statements.readBody)}
		b, _, err := w.Publication(ctx, &x, v.row.id, v.row.first, v.row.next)
		if err != nil {
			return log.Stream{}, err
		}
		isOver = b != nil
	}
	s := log.Stream{ID: v.stream, Next: v.next, Oldest: v.next}
	if isOver || v.walkTail(&x) {
		s.Oldest, s.OldestTime, s.NewestTime, s.Bytes = x.First, x.Time, v.newestTime(), x.Stored
	}
	return s, nil
}

// walkTail takes the tail; false when all is dropped.
func (v *view) walkTail(x *block.Excess) (isOver bool) {
	for _, part := range v.tail {
		for i := range part {
			if !x.Drops(part[i].Serial, int64(part[i].Size()), part[i].Time) {
				return true
			}
		}
	}
	return false
}

// newestTime is when the last publication was decided.
func (v *view) newestTime() int64 {
	for _, part := range slices.Backward(v.tail[:]) {
		if n := len(part); n > 0 {
			return part[n-1].Time
		}
	}
	return v.row.lastTime
}

// page reads what q asks for.
func (v *view) page(ctx context.Context, q *log.Query) (p log.Page, err error) {
	if v.stream == "" {
		return p, nil
	}
	needsWalk := q.WithState || v.Bytes > 0 || v.Cutoff != 0 // to know what stays
	if v.tx == nil && (needsWalk || q.Since != 0 || q.Until != 0) {
		return p, errChanged
	}
	p.Stream = log.Stream{ID: v.stream, Next: v.next, Oldest: v.first()}
	if needsWalk {
		if p.Stream, err = v.state(ctx); err != nil {
			return p, err
		}
	}
	c := &collector{Query: q, page: &p, after: max(q.After, p.Stream.Oldest-1), before: cmp.Or(q.Before, math.MaxInt64), until: cmp.Or(q.Until, math.MaxInt64)}
	steps := []func(context.Context, *collector) error{v.collectRows, v.collectTail}
	if q.NewestFirst {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(ctx, c); err != nil || p.HasMore {
			return p, err
		}
	}
	return p, nil
}

// collector fills a page.
type collector struct {
	*log.Query
	page          *log.Page
	after, before uint64
	until         int64
	bytes         int
	last          *log.Publication // of the page
	bodies        [][]byte         // of one block
	follows       uint64           // the serial that is to be next in the blocks
	isTorn        bool             // it was another one
}

// hasTimes reports whether the page is of publications of a range of times.
func (c *collector) hasTimes() bool { return c.Since != 0 || c.Until != 0 }

// add takes one envelope; false when the page is full.
func (c *collector) add(body []byte) (goesOn bool, err error) {
	n := len(c.page.Publications)
	isFull := n >= c.Limit || n > 0 && c.bytes+len(body) > c.MaxBytes
	if isFull && !c.hasTimes() {
		c.page.HasMore = true
		return false, nil
	}
	if c.page.Publications == nil {
		c.page.Publications = make([]log.Publication, 0, min(c.Limit, pageLimit))
	}
	c.page.Publications = append(c.page.Publications, log.Publication{})
	p := &c.page.Publications[n]
	if err := envelope.DecodeLike(p, body, c.last); err != nil {
		return false, err
	}
	isMeant := !c.hasTimes() || p.Time >= c.Since && p.Time <= c.until
	if isMeant && !isFull {
		c.last = p
		c.bytes += len(body)
		return true, nil
	}
	c.page.Publications = c.page.Publications[:n]
	c.page.HasMore = isMeant
	return !isMeant, nil
}

// addBlock takes a block, whose body does not change any more.
func (c *collector) addBlock(first uint64, body []byte) (goesOn bool, err error) {
	if c.bodies, err = block.Envelopes(c.bodies[:0], body); err != nil {
		return false, err
	}
	for i := range c.bodies {
		if c.NewestFirst {
			i = len(c.bodies) - 1 - i
		}
		serial := first + uint64(i)
		if serial <= c.after || serial >= c.before {
			continue
		}
		if goesOn, err = c.add(c.bodies[i]); err != nil || !goesOn {
			return false, err
		}
		c.isTorn = c.isTorn || serial != c.follows
		if c.follows = serial + 1; c.NewestFirst {
			c.follows = serial - 1
		}
	}
	return true, nil
}

func (v *view) collectTail(_ context.Context, c *collector) error {
	parts := v.tail[:]
	if c.NewestFirst {
		parts = []([]tail.Recent){v.tail[1], v.tail[0]}
	}
	for _, part := range parts {
		part = part[behind(part, c.after+1):]
		part = part[:behind(part, c.before)]
		for i := range part {
			if c.NewestFirst {
				i = len(part) - 1 - i
			}
			if goesOn, err := c.add(part[i].Envelope()); err != nil || !goesOn {
				return err
			}
		}
	}
	return nil
}

func (v *view) collectRows(ctx context.Context, c *collector) error {
	if !v.hasRows() || c.after+1 >= v.row.next {
		return nil
	}
	from, before, had := max(c.after+1, v.row.first), min(c.before, v.row.next), len(c.page.Publications)
	all, n := block.Stretches(from, before)
	if n == 0 {
		return nil
	}
	parts, end := all[:n], before
	statement := v.statement(ctx, v.statements.oldestFirst)
	c.follows = from
	if c.NewestFirst {
		statement = v.statement(ctx, v.statements.newestFirst)
		slices.Reverse(parts)
		c.follows, end = before-1, from-1
	}
	for _, part := range parts {
		goesOn, err := v.collectStretch(ctx, statement, c, part)
		if err != nil {
			return err
		}
		if !goesOn {
			break
		}
	}
	isWhole := c.page.HasMore || c.follows == end
	if v.tx == nil && !(isWhole && !c.isTorn && v.owns(c.page.Publications[had:])) {
		return errChanged
	}
	return nil
}

// owns reports whether all are of the stream of v: a reset in between would have put others in their place.
func (v *view) owns(all []log.Publication) bool {
	for i := range all {
		if all[i].StreamID != v.stream {
			return false
		}
	}
	return true
}

func (v *view) collectStretch(ctx context.Context, statement *sql.Stmt, c *collector, s block.Stretch) (goesOn bool, err error) {
	since := cmp.Or(c.Since, math.MinInt64)
	from := block.Key(v.row.id, s.From)
	rows, err := statement.QueryContext(ctx, block.Key(v.row.id, s.LookBack()), block.Key(v.row.id, s.Before-1), from, since, c.until)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() {
		var id int64
		var body sqlite.Blob
		if err := rows.Scan(&id, &body); err != nil {
			return false, err
		}
		if goesOn, err := c.addBlock(block.SerialOf(id, s.From), body); err != nil || !goesOn {
			return false, err
		}
	}
	return true, rows.Err()
}
