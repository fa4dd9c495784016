package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/store/sqlstore"
)

var _ app.Store = (*Store)(nil)

// dialect is the SQL of a database file: times are Unix milliseconds, by the clock of the process.
func dialect(now func() time.Time) sqlstore.Dialect {
	return sqlstore.Dialect{
		Moment: "$%d",
		After:  func(d time.Duration) any { return now().Add(d).UnixMilli() },
	}
}

// transaction is a sqlstore.Tx.
type transaction struct{ *sql.Tx }

// Exec implements sqlstore.Tx.
func (t transaction) Exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	done, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// Each implements sqlstore.Tx.
func (t transaction) Each(ctx context.Context, fn func(sqlstore.Row) error, query string, args ...any) error {
	rows, err := t.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// LoadApps implements app.Store. One transaction reads one moment, beside the writer.
func (s *Store) LoadApps(ctx context.Context, fn func(app.Record) error) error {
	var tx *sql.Tx
	err := sqlite.Patiently(ctx, func() (err error) {
		tx, err = s.db.Reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		return err
	})
	if err == nil {
		err = s.sql.LoadApps(ctx, transaction{tx}, fn)
		_ = tx.Rollback() // it has changed nothing
	}
	return s.fail("load apps", err)
}

// PutApp implements app.Store.
func (s *Store) PutApp(ctx context.Context, r app.Record) (put app.Record, err error) {
	err = s.write(ctx, fmt.Sprintf("put app %q", r.ID), func(tx *sql.Tx) (err error) {
		put, err = s.sql.PutApp(ctx, transaction{tx}, r)
		return err
	})
	if err != nil {
		return app.Record{}, err
	}
	s.db.Wrote(int64(len(r.Document)) + int64(len(r.Keys)+2)*pageSize)
	return put, nil
}

// DeleteApp implements app.Store.
func (s *Store) DeleteApp(ctx context.Context, id string, version uint64) error {
	err := s.write(ctx, fmt.Sprintf("delete app %q", id), func(tx *sql.Tx) error {
		return s.sql.DeleteApp(ctx, transaction{tx}, id, version)
	})
	if err == nil {
		s.db.Wrote(2 * pageSize)
	}
	return err
}

// WatchApps implements app.Store. The folder belongs to this node alone, so it only waits.
func (s *Store) WatchApps(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// ClaimSignature reports whether this is the first claim of the signature of a request; it stays
// claimed for ttl. It implements the Signatures of package admin. Claims that have expired go.
func (s *Store) ClaimSignature(ctx context.Context, signature string, ttl time.Duration) (isFirst bool, err error) {
	err = s.write(ctx, "claim signature", func(tx *sql.Tx) (err error) {
		isFirst, err = s.sql.ClaimSignature(ctx, transaction{tx}, signature, ttl)
		return err
	})
	if err != nil {
		return false, err
	}
	s.db.Wrote(2 * pageSize)
	return isFirst, nil
}
