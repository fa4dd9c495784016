package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/block"
	"github.com/millrace/millrace/internal/sqlite"
)

// What is beyond a limit waits until it is so much, so that a page is touched once for many
// records: an eighth of the limit, and at least these.
const (
	slackRecords = 32
	slackBytes   = 8 << 10
	slackAge     = 10_000 // milliseconds
)

// cut is a topic of which blocks may have to go.
type cut struct {
	*topicState
	limits block.Limits
	purged uint64 // what is below it goes in any case

	// isExact wants all gone that is beyond the limits. Otherwise those blocks go of which all is, once
	// that is much.
	isExact bool
}

func (c *cut) excess() block.Excess {
	floor := max(c.purged, c.limits.Floor(c.next))
	return block.Excess{Limits: c.limits, Floor: min(floor, c.next), Stored: c.bytes}
}

func (c *cut) isPurge() bool { return min(c.purged, c.next) > c.first }

// isDue reports whether enough is beyond the limits.
func (c *cut) isDue() bool {
	if c.first >= c.next {
		return false
	}
	records, bytes, age := uint64(1), int64(0), int64(0)
	if x := &c.limits; !c.isExact {
		records, bytes, age = max(slackRecords, x.Count/8), max(slackBytes, x.Bytes/8), max(slackAge, x.Age/8)
	}
	return c.isPurge() || c.limits.Floor(c.next) >= c.first+records ||
		c.limits.Bytes > 0 && c.bytes > c.limits.Bytes+bytes || c.firstTime < c.limits.Cutoff-age
}

// cut makes one, which is due. No block of the topic waits to be written.
func (f *folder) cut(ctx context.Context, tx *sql.Tx, c *cut) error {
	x := c.excess()
	w := block.Walker{Heads: tx.StmtContext(ctx, f.statements.heads), Body: tx.StmtContext(ctx, f.statements.body)}
	if c.isExact || c.isPurge() {
		return f.cutExactly(ctx, tx, c.topicState, &x, w)
	}
	b, err := w.Block(ctx, &x, c.id, c.first, c.next)
	if err != nil {
		return err
	}
	first, oldest := c.next, int64(0)
	if b != nil {
		first, oldest = b.First, b.Oldest
	}
	if err := f.removeBelow(ctx, tx, c.topicState, first); err != nil {
		return err
	}
	c.firstTime, c.bytes = oldest, x.Stored
	return nil
}

// cutExactly removes all that x drops. Of a block of which something stays, that becomes a block.
func (f *folder) cutExactly(ctx context.Context, tx *sql.Tx, s *topicState, x *block.Excess, w block.Walker) error {
	b, rest, err := w.Publication(ctx, x, s.id, s.first, s.next)
	if err != nil {
		return err
	}
	if b == nil {
		x.First = s.next
		b = &block.Block{First: s.next}
	}
	if err := f.removeBelow(ctx, tx, s, x.First); err != nil {
		return err
	}
	s.firstTime, s.bytes = b.Oldest, x.Stored
	if b.First == x.First {
		return nil
	}
	f.block = block.New(s.id, x.First, nil)
	for i, body := range rest {
		p, err := envelope.Decode(body)
		if err != nil {
			return fmt.Errorf("%q, serial %d: %w", s.topic.Name, x.First+uint64(i), err)
		}
		f.block.Add(body, p.Time)
	}
	s.firstTime = f.block.Oldest
	return f.endBlock(ctx, tx)
}

// removeAll deletes all blocks of a topic, also those that wait to be written.
func (f *folder) removeAll(ctx context.Context, tx *sql.Tx, s *topicState) error {
	if s.first >= s.next {
		return nil
	}
	if err := f.endBlock(ctx, tx); err != nil {
		return err
	}
	if err := f.flushBlocks(ctx, tx, 1); err != nil {
		return err
	}
	if err := f.removeBelow(ctx, tx, s, s.next); err != nil {
		return err
	}
	s.firstTime, s.bytes = 0, 0
	return nil
}

// removeBelow deletes the blocks of a topic that begin below a serial, which is then the first.
func (f *folder) removeBelow(ctx context.Context, tx *sql.Tx, s *topicState, serial uint64) error {
	remove := tx.StmtContext(ctx, f.statements.remove)
	all, n := block.Stretches(s.first, serial)
	for _, part := range all[:n] {
		if _, err := remove.ExecContext(ctx, block.Key(s.id, part.From), block.Key(s.id, part.Before-1)); err != nil {
			return err
		}
	}
	f.o.Metrics.removed.Add(float64(serial - s.first))
	s.first = serial
	return nil
}

// sweep removes what has become too old in topics to which nothing comes.
func (f *folder) sweep(ctx context.Context) error {
	const some = 512
	for from := int64(0); ; {
		var topics []topicState
		err := f.db.Each(ctx, func(rows *sql.Rows) error {
			s := topicState{}
			err := s.scan(rows)
			topics = append(topics, s)
			return err
		}, "SELECT "+topicColumns+" FROM log_topics WHERE id > ? ORDER BY id LIMIT ?", from, some)
		if err != nil {
			return err
		}
		if err := f.sweepTopics(ctx, topics); err != nil || len(topics) < some {
			return err
		}
		from = topics[len(topics)-1].id
	}
}

func (f *folder) sweepTopics(ctx context.Context, topics []topicState) error {
	now := f.o.Now()
	due := topics[:0]
	for i := range topics {
		s := &topics[i]
		if l := block.LimitsAt(f.o.Retention(s.topic), now); s.first < s.next && s.firstTime < l.Cutoff {
			due = append(due, *s)
		}
	}
	for len(due) > 0 {
		before := len(due)
		err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
			for len(due) > 0 && !isOver() {
				if err := f.sweepTopic(ctx, tx, &due[0], now); err != nil {
					return err
				}
				due = due[1:]
			}
			return nil
		})
		if err != nil {
			clear(f.states)
			return err
		}
		if err := f.db.Rewrote(ctx, int64(before-len(due))*2*sqlite.PageSize); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) sweepTopic(ctx context.Context, tx *sql.Tx, s *topicState, now time.Time) error {
	if known := f.states[s.topic]; known != nil {
		s = known
	}
	c := cut{topicState: s, limits: block.LimitsAt(f.o.Retention(s.topic), now), isExact: true}
	if !c.isDue() {
		return nil
	}
	if err := f.cut(ctx, tx, &c); err != nil {
		return err
	}
	return f.putTopic(ctx, tx, s)
}

// Trim implements log.Log.
func (l *Log) Trim(ctx context.Context, before log.Index) error {
	l.mu.Lock()
	folded := l.folded
	l.mu.Unlock()
	if before > folded+1 {
		return fmt.Errorf("%w: the fold has %d, what is to go ends at %d", log.ErrNotFolded, folded, before-1)
	}
	return l.ask(ctx, func(ctx context.Context) error { return l.folder.trim(ctx, before) })
}

// trimOld removes folded entries that are too old or too many.
func (f *folder) trimOld(ctx context.Context) error {
	bytes := int64(0)
	for _, m := range f.marks {
		bytes += m.bytes
	}
	n, oldest := 0, f.o.Now().Add(-f.o.Keep)
	for n < len(f.marks) && (bytes > f.o.KeepBytes || !f.marks[n].at.After(oldest)) {
		bytes -= f.marks[n].bytes
		n++
	}
	if n == 0 {
		return nil
	}
	if err := f.trim(ctx, f.marks[n-1].last+1); err != nil {
		return err
	}
	f.marks = f.marks[n:]
	return nil
}

// trim removes the entries below an index, which are in the fold.
func (f *folder) trim(ctx context.Context, before log.Index) error {
	const some = 16
	f.mu.Lock()
	trimmed := f.trimmed
	f.mu.Unlock()
	for trimmed+1 < before {
		from := trimmed
		err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
			for trimmed+1 < before && !isOver() {
				trimmed = min(trimmed+some, before-1)
				if _, err := tx.ExecContext(ctx, "DELETE FROM log_entries WHERE id <= ?", int64(trimmed)); err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, "UPDATE log_state SET trimmed = ?", int64(trimmed))
			return err
		})
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.trimmed = trimmed
		f.mu.Unlock()
		if err := f.db.Rewrote(ctx, int64(trimmed-from)*sqlite.PageSize); err != nil {
			return err
		}
	}
	return nil
}
