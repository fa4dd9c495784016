package embedded

import (
	"context"
	"database/sql"
)

// Health writes something small and waits until it is on the disk, after whatever is being
// written: what reads well may still refuse to be written to.
func (s *Store) Health(ctx context.Context) error {
	err := s.write(ctx, "health", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO health (id, looked) VALUES (1, ?) ON CONFLICT DO UPDATE SET looked = excluded.looked",
			s.o.Now().UnixMilli())
		return err
	})
	if err == nil {
		s.noteWritten(pageSize)
	}
	return err
}
