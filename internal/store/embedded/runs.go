package embedded

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/entity"
)

// LoadRuns implements owner.Store.
func (s *Store) LoadRuns(ctx context.Context) (runs []entity.Run, err error) {
	err = s.each(ctx, func(rows *sql.Rows) error {
		var tag, first, slot, index int64
		if err := rows.Scan(&tag, &first, &slot, &index); err != nil {
			return err
		}
		runs = append(runs, entity.Run{
			Tag: uint64(tag), First: uint64(first), Last: entity.Seq{Slot: uint64(slot), Index: uint64(index)},
		})
		return nil
	}, "SELECT tag, first_slot, last_slot, last_index FROM runs")
	return runs, s.fail("load runs", err)
}

// SaveRuns implements owner.Store.
func (s *Store) SaveRuns(ctx context.Context, runs []entity.Run) error {
	return s.write(ctx, "save runs", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM runs"); err != nil {
			return err
		}
		for i := range runs {
			r := &runs[i]
			_, err := tx.ExecContext(ctx, "INSERT INTO runs (tag, first_slot, last_slot, last_index) VALUES (?,?,?,?)",
				int64(r.Tag), int64(r.First), int64(r.Last.Slot), int64(r.Last.Index))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
