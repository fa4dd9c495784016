package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

var _ owner.Store = (*Store)(nil)

// What a row of entities or of the log says about its key.
const (
	stateLive = iota
	stateDeleted
	stateForgotten // in the log only: a tombstone is to go
)

// CommitEntities implements owner.Store.
func (s *Store) CommitEntities(ctx context.Context, c *owner.Commit) error {
	if len(c.Records)+len(c.Receipts)+len(c.Forget) == 0 {
		return nil
	}
	start := time.Now()
	size := 0
	err := s.write(ctx, "commit entities", func(tx *sql.Tx) error {
		records, err := s.appendLog(ctx, tx, c.Records, stateLive)
		if err != nil {
			return err
		}
		forgotten, err := s.appendLog(ctx, tx, c.Forget, stateForgotten)
		size = records + forgotten
		if err != nil {
			return err
		}
		return s.appendReceipts(ctx, tx, c)
	})
	if err != nil {
		return err
	}
	s.o.Metrics.commits.Observe(time.Since(start).Seconds())
	s.o.Metrics.records.Add(float64(len(c.Records)))
	s.grow(int64(size))
	return nil
}

// appendLog writes rows in their order, and reports about how many bytes. state is of those
// that are not deleted.
func (s *Store) appendLog(ctx context.Context, tx *sql.Tx, rows []owner.Record, state int64) (size int, err error) {
	const overhead = 48 // of a row: header, numbers, page
	var app, kind any   // boxed once for a run of equal ones
	args := s.args[:0]
	defer func() {
		clear(args) // or it would keep the data alive
		s.args = args
	}()
	for i := range rows {
		r := &rows[i]
		if i == 0 || r.App != rows[i-1].App {
			app = r.App
		}
		if i == 0 || r.Type != rows[i-1].Type {
			kind = r.Type
		}
		size += len(r.App) + len(r.Type) + len(r.Key) + len(r.Data) + overhead
		args = append(args, app, kind, r.Key)
		switch {
		case state == stateLive && !r.IsDeleted:
			args = append(args, state, int64(r.Number), int64(r.Seq.Slot), int64(r.Seq.Index), r.Data)
		case state == stateLive:
			args = append(args, int64(stateDeleted), int64(r.Number), int64(r.Seq.Slot), int64(r.Seq.Index), nil)
		default:
			args = append(args, state, int64(0), int64(0), int64(0), nil)
		}
		if len(args) == rowsPerInsert*logCells {
			if _, err := tx.StmtContext(ctx, s.statements.appendMany).ExecContext(ctx, args...); err != nil {
				return size, err
			}
			args = args[:0]
		}
	}
	one := tx.StmtContext(ctx, s.statements.appendOne)
	for rest := args; len(rest) > 0; rest = rest[logCells:] {
		if _, err := one.ExecContext(ctx, rest[:logCells]...); err != nil {
			return size, err
		}
	}
	return size, nil
}

// appendReceipts also removes about as many that have expired, so that no commit has to remove
// a day's worth.
func (s *Store) appendReceipts(ctx context.Context, tx *sql.Tx, c *owner.Commit) error {
	if len(c.Receipts) == 0 {
		return nil
	}
	insert := tx.StmtContext(ctx, s.statements.receipt)
	for i := range c.Receipts {
		r := &c.Receipts[i]
		if _, err := insert.ExecContext(ctx, r.App, r.Key, int64(r.Seq.Slot), int64(r.Seq.Index), r.Expires.UnixMilli()); err != nil {
			return err
		}
	}
	_, err := tx.StmtContext(ctx, s.statements.expire).ExecContext(ctx, 2*len(c.Receipts), c.Now.UnixMilli())
	return err
}

// LoadEntities implements owner.Store. It folds the log first; what is committed while it reads
// may be left out.
func (s *Store) LoadEntities(ctx context.Context, now time.Time, record func(owner.Record) error, receipt func(owner.Receipt) error) error {
	if err := s.askFold(ctx); err != nil {
		return s.fail("load entities", err)
	}
	if err := s.loadRecords(ctx, record); err != nil {
		return s.fail("load entities", err)
	}
	return s.fail("load receipts", s.loadReceipts(ctx, now, receipt))
}

func (s *Store) loadRecords(ctx context.Context, fn func(owner.Record) error) error {
	var last owner.Record
	return s.each(ctx, func(rows *sql.Rows) error {
		var app, kind sql.RawBytes
		var state, number, slot, index int64
		r := owner.Record{}
		if err := rows.Scan(&app, &kind, &r.Key, &state, &number, &slot, &index, &r.Data); err != nil {
			return err
		}
		if state != stateLive && state != stateDeleted {
			return fmt.Errorf("%w: entity %q of type %q has state %d", ErrDamaged, r.Key, kind, state)
		}
		r.App, r.Type = same(last.App, app), same(last.Type, kind)
		r.IsDeleted = state == stateDeleted
		r.Seq, r.Number = entity.Seq{Slot: uint64(slot), Index: uint64(index)}, uint64(number)
		last.App, last.Type = r.App, r.Type
		return fn(r)
	}, "SELECT app, type, key, state, number, seq_slot, seq_index, data FROM entities")
}

// same is text as a string: known itself if it says the same, since rows come sorted and a
// million copies of one name are a waste.
func same(known string, text []byte) string {
	if known == string(text) {
		return known
	}
	return string(text)
}

func (s *Store) loadReceipts(ctx context.Context, now time.Time, fn func(owner.Receipt) error) error {
	// The bare columns come from the row that has the maximum (SQLite, "bare columns in an
	// aggregate query").
	return s.each(ctx, func(rows *sql.Rows) error {
		var slot, index, expires, id int64
		r := owner.Receipt{}
		if err := rows.Scan(&r.App, &r.Key, &slot, &index, &expires, &id); err != nil {
			return err
		}
		r.Seq, r.Expires = entity.Seq{Slot: uint64(slot), Index: uint64(index)}, time.UnixMilli(expires)
		return fn(r)
	}, `SELECT app, key, seq_slot, seq_index, expires, max(id)
		FROM receipts GROUP BY app, key HAVING expires > ?`, now.UnixMilli())
}
