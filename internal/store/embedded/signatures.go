package embedded

import (
	"context"
	"database/sql"
	"time"
)

// ClaimSignature reports whether nobody has claimed the signature of a request before; it stays
// claimed for ttl. It implements the Signatures of package admin. What has expired goes.
func (s *Store) ClaimSignature(ctx context.Context, signature string, ttl time.Duration) (isFirst bool, err error) {
	err = s.write(ctx, "claim signature", func(tx *sql.Tx) error {
		now := s.o.Now()
		if _, err := tx.ExecContext(ctx, "DELETE FROM signatures WHERE expires <= ?", now.UnixMilli()); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, "INSERT INTO signatures (signature, expires) VALUES (?, ?) ON CONFLICT DO NOTHING",
			signature, now.Add(ttl).UnixMilli())
		if err != nil {
			return err
		}
		inserted, err := done.RowsAffected()
		isFirst = inserted == 1
		return err
	})
	if err != nil {
		return false, err
	}
	s.db.Wrote(2 * pageSize)
	return isFirst, nil
}
