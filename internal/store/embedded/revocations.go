package embedded

import (
	"context"
	"database/sql"
	"time"

	"github.com/millrace/millrace/internal/token"
)

var _ token.RevocationStore = (*Store)(nil)

// LoadRevocations implements token.RevocationStore.
func (s *Store) LoadRevocations(ctx context.Context, now time.Time, fn func(app, id string, until time.Time) error) error {
	err := s.each(ctx, func(rows *sql.Rows) error {
		var app, id string
		var until int64
		if err := rows.Scan(&app, &id, &until); err != nil {
			return err
		}
		return fn(app, id, time.UnixMilli(until))
	}, "SELECT app, id, until FROM revocations WHERE until > ?", now.UnixMilli())
	return s.fail("load revocations", err)
}

// SaveRevocation implements token.RevocationStore. A token that is revoked twice stays revoked
// until the later end. What has expired goes.
func (s *Store) SaveRevocation(ctx context.Context, app, id string, until time.Time) error {
	return s.write(ctx, "save revocation", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM revocations WHERE until <= ?", s.o.Now().UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO revocations (app, id, until) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET until = max(until, excluded.until)`, app, id, until.UnixMilli())
		return err
	})
}
