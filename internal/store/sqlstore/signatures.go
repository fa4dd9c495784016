package sqlstore

import (
	"context"
	"time"
)

// expiredPerClaim bounds what one claim clears away; it adds one.
const expiredPerClaim = 100

// ClaimSignature reports whether this is the first claim of the signature of a request; it stays
// claimed for ttl. Claims that have expired go, except that another transaction may clear them away.
// The two statements need not be one transaction.
func (q *Queries) ClaimSignature(ctx context.Context, tx Tx, signature string, ttl time.Duration) (isFirst bool, err error) {
	_, err = tx.Exec(ctx, q.text(`DELETE FROM @signatures WHERE signature IN (
			SELECT signature FROM @signatures WHERE expires <= `+q.moment(2)+` AND signature <> $1
			ORDER BY expires LIMIT $3`+q.d.SkipLocked+`)`), signature, q.d.After(0), expiredPerClaim)
	if err != nil {
		return false, err
	}
	changed, err := tx.Exec(ctx, q.text(`INSERT INTO @signatures AS claimed (signature, expires) VALUES ($1, `+q.moment(2)+`)
		ON CONFLICT (signature) DO UPDATE SET expires = excluded.expires WHERE claimed.expires <= `+q.moment(3)),
		signature, q.d.After(ttl), q.d.After(0))
	return err == nil && changed == 1, err
}
