package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqlite"
)

const (
	// foldAt is the size of the log at which it is folded. The larger, the more records share the
	// rewriting of a page, and the longer a start after a kill takes.
	foldAt = 16 << 20
	// calm is how many bytes the log may have without longer slices of folding.
	calm = 4 * foldAt

	pageSize = sqlite.PageSize
)

// grow counts what was appended to the log.
func (s *Store) grow(size int64) {
	s.o.Metrics.log.Set(float64(s.unfolded.Add(size)))
	s.db.Wrote(size)
	if s.unfolded.Load() >= foldAt {
		s.maintainer.Wake()
	}
}

// measureLog finds out what the last process has left. Its size does not matter: either there
// is nothing to fold or it is time to.
func (s *Store) measureLog(ctx context.Context) error {
	var has bool
	err := s.db.Writer().QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM entity_log)").Scan(&has)
	if has {
		s.grow(foldAt)
	}
	return err
}

// foldWhileDue folds until the log is short. After a failure the next commit is the next try.
func (s *Store) foldWhileDue(ctx context.Context) {
	for err := error(nil); err == nil && s.unfolded.Load() >= foldAt; {
		err = s.fold(ctx)
		s.db.Report(ctx, "fold the log", err)
	}
}

// askFold has the log folded now.
func (s *Store) askFold(ctx context.Context) error { return s.maintainer.Do(ctx, s.fold) }

// work is what the log asks for, as ids of its rows: the newest record of each key, in the
// order of the table, and the orders to forget a tombstone that came after the key's last record.
type work struct{ records, forgets []int64 }

// fold brings the table up to the present end of the log and removes that part of it.
func (s *Store) fold(ctx context.Context) error {
	start := time.Now()
	size := s.unfolded.Load() // before the end is read: what is appended in between stays counted
	first, last, err := s.bounds(ctx)
	if err != nil || last == 0 {
		return err
	}
	w, err := s.newest(ctx, last)
	if err != nil {
		return err
	}
	for rest := w.records; err == nil && len(rest) > 0; {
		rest, err = s.foldSlice(ctx, rest)
	}
	for rest := w.forgets; err == nil && len(rest) > 0; {
		rest, err = s.forgetSlice(ctx, rest)
	}
	if err != nil {
		return err
	}
	if err := s.cut(ctx, first, last); err != nil {
		return err
	}
	s.o.Metrics.log.Set(float64(s.unfolded.Add(-size)))
	s.o.Metrics.folded.Add(float64(len(w.records) + len(w.forgets)))
	s.o.Metrics.folds.Observe(time.Since(start).Seconds())
	return nil
}

// bounds are the first and the last id of the log, zero when it is empty.
func (s *Store) bounds(ctx context.Context) (first, last int64, err error) {
	err = sqlite.Patiently(ctx, func() error {
		return s.db.Reader().QueryRowContext(ctx, "SELECT coalesce((SELECT min(id) FROM entity_log), 0), coalesce((SELECT max(id) FROM entity_log), 0)").Scan(&first, &last)
	})
	return first, last, err
}

// newest reads what the log up to last says about each key, in the order of the table. Nothing
// is read but ids, and the reading has ended when it returns: a longer one would keep the WAL
// from being written back.
func (s *Store) newest(ctx context.Context, last int64) (w work, err error) {
	err = s.each(ctx, func(rows *sql.Rows) error {
		var record, forget int64
		if err := rows.Scan(&record, &forget); err != nil {
			return err
		}
		if record != 0 {
			w.records = append(w.records, record)
		}
		if forget > record {
			w.forgets = append(w.forgets, forget)
		}
		return nil
	}, `SELECT coalesce(max(id) FILTER (WHERE state < 2), 0), coalesce(max(id) FILTER (WHERE state = 2), 0)
		FROM entity_log WHERE id <= ? GROUP BY app, type, key`, last)
	return w, err
}

// foldSlice folds a beginning of ids and returns the rest.
func (s *Store) foldSlice(ctx context.Context, ids []int64) ([]int64, error) {
	before := len(ids)
	err := s.slice(ctx, "fold the log", func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
		one, many := tx.StmtContext(ctx, s.statements.foldOne), tx.StmtContext(ctx, s.statements.foldMany)
		for len(ids) > 0 && !isOver() {
			statement, n := one, 1
			if len(ids) >= rowsPerInsert {
				statement, n = many, rowsPerInsert
			}
			args := s.args[:0]
			for _, id := range ids[:n] {
				args = append(args, id)
			}
			s.args = args
			if _, err := statement.ExecContext(ctx, args...); err != nil {
				return err
			}
			ids = ids[n:]
		}
		return nil
	})
	if err != nil {
		return ids, err
	}
	return ids, s.db.Rewrote(ctx, int64(before-len(ids))*pageSize)
}

// forgetSlice removes the tombstones that a beginning of ids names and returns the rest.
func (s *Store) forgetSlice(ctx context.Context, ids []int64) ([]int64, error) {
	before := len(ids)
	err := s.slice(ctx, "forget tombstones", func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
		statement := tx.StmtContext(ctx, s.statements.forget)
		for len(ids) > 0 && !isOver() {
			if _, err := statement.ExecContext(ctx, ids[0]); err != nil {
				return err
			}
			ids = ids[1:]
		}
		return nil
	})
	if err != nil {
		return ids, err
	}
	return ids, s.db.Rewrote(ctx, int64(before-len(ids))*pageSize)
}

// cut removes the log from first to last.
func (s *Store) cut(ctx context.Context, first, last int64) error {
	const rows = 256
	for first <= last {
		before := first
		err := s.slice(ctx, "cut the log", func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
			for first <= last && !isOver() {
				if _, err := tx.ExecContext(ctx, "DELETE FROM entity_log WHERE id < ?", min(first+rows, last+1)); err != nil {
					return err
				}
				first += rows
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.db.Rewrote(ctx, (first-before)*pageSize/8); err != nil {
			return err
		}
	}
	return nil
}

// slice runs fn in a transaction; fn stops at a good place once isOver.
func (s *Store) slice(ctx context.Context, what string, fn func(ctx context.Context, tx *sql.Tx, isOver func() bool) error) error {
	if err := s.db.Slice(ctx, s.unfolded.Load(), calm, fn); err != nil {
		return fmt.Errorf("embedded store: %s: %w", what, err)
	}
	return nil
}
