package postgres

import (
	"context"
	"time"
)

// expiredPerClaim bounds what one claim clears away; it adds one.
const expiredPerClaim = 100

// ClaimSignature reports whether nobody has claimed the signature of a request before, on any
// node; it stays claimed for ttl, by the clock of the database. It implements the Signatures of
// package admin. What has expired goes.
func (s *Store) ClaimSignature(ctx context.Context, signature string, ttl time.Duration) (isFirst bool, err error) {
	err = s.ask(ctx, queryClaimSignature, "claim signature", func(ctx context.Context) error {
		// One statement is one transaction. Rows that another claim is clearing away are its own.
		done, err := s.pool.Exec(ctx, `WITH expired AS (
				DELETE FROM millrace_signatures WHERE signature IN (
					SELECT signature FROM millrace_signatures
					WHERE expires <= clock_timestamp() AND signature <> $1
					ORDER BY expires LIMIT $3 FOR UPDATE SKIP LOCKED)
			)
			INSERT INTO millrace_signatures AS claimed (signature, expires)
			VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond')
			ON CONFLICT (signature) DO UPDATE SET expires = excluded.expires
			WHERE claimed.expires <= clock_timestamp()`, signature, ttl.Milliseconds(), expiredPerClaim)
		isFirst = err == nil && done.RowsAffected() == 1
		return err
	})
	return isFirst, err
}
