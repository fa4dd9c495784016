package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/sqlite"
)

// What is beyond a limit waits until it is so much, so that a page is touched once for many
// records: an eighth of the limit, and at least these.
const (
	slackRecords = 32
	slackBytes   = 8 << 10
	slackAge     = 10_000 // milliseconds
)

// cut removes what is beyond the limits of a topic or below floor. Unless isExact, it waits until
// that is much; a floor is never waited for.
func (f *folder) cut(ctx context.Context, tx *sql.Tx, s *topicState, limits limits, floor uint64, isExact bool) error {
	floor = min(floor, s.next)
	x := excess{limits: limits, floor: max(floor, min(limits.floor(s.next), s.next)), bytes: s.bytes}
	if s.first >= s.next || floor <= s.first && !x.isWorthIt(s, isExact) {
		return nil
	}
	if err := f.flushRecords(ctx, tx, 1); err != nil { // the walk has to see them
		return err
	}
	isOver, err := x.walk(ctx, tx.StmtContext(ctx, f.statements.excess), s)
	if err != nil {
		return err
	}
	if !isOver {
		x.first, x.time = s.next, 0
	}
	bytes := x.bytes
	if err := f.removeBelow(ctx, tx, s, x.first); err != nil {
		return err
	}
	s.first, s.firstTime, s.bytes = x.first, x.time, bytes
	return nil
}

// isWorthIt reports whether enough is beyond the limits.
func (x *excess) isWorthIt(s *topicState, isExact bool) bool {
	records, bytes, age := uint64(slackRecords), int64(slackBytes), int64(slackAge)
	if isExact {
		records, bytes, age = 1, 0, 0
	} else {
		records, bytes, age = max(records, x.Count/8), max(bytes, x.Bytes/8), max(age, x.Age/8)
	}
	return x.floor >= s.first+records || x.Bytes > 0 && s.bytes > x.Bytes+bytes || s.firstTime < x.cutoff-age
}

// removeBelow deletes the records of a topic below a serial. With all of them, the topic is empty.
func (f *folder) removeBelow(ctx context.Context, tx *sql.Tx, s *topicState, serial uint64) error {
	if s.first >= serial {
		return nil
	}
	if err := f.flushRecords(ctx, tx, 1); err != nil {
		return err
	}
	done, err := tx.StmtContext(ctx, f.statements.removeBelow).ExecContext(ctx, s.id, int64(serial))
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err == nil {
		f.o.Metrics.removed.Add(float64(n))
	}
	if serial >= s.next {
		s.first, s.firstTime, s.bytes = s.next, 0, 0
	}
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
		if l := limitsAt(f.o.Retention(s.topic), now); s.first < s.next && s.firstTime < l.cutoff {
			due = append(due, *s)
		}
	}
	for len(due) > 0 {
		before := len(due)
		err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
			f.topics = f.topics[:0]
			for len(due) > 0 && !isOver() {
				if err := f.sweepTopic(ctx, tx, &due[0], now); err != nil {
					return err
				}
				due = due[1:]
			}
			return f.flushTopics(ctx, tx, 1)
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
	if err := f.cut(ctx, tx, s, limitsAt(f.o.Retention(s.topic), now), 0, true); err != nil {
		return err
	}
	f.topics = s.cells(f.topics)
	return f.flushTopics(ctx, tx, rowsPerInsert)
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
