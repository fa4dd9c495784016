package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/store/sqlstore"
)

var _ app.Store = (*Store)(nil)

// dialect is the SQL of PostgreSQL. Times are by the clock of the database, which all nodes share,
// and to the millisecond.
func dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Prefix:     "millrace_",
		Moment:     "date_trunc('milliseconds', clock_timestamp()) + $%d * interval '1 millisecond'",
		After:      func(d time.Duration) any { return d.Milliseconds() },
		SkipLocked: " FOR UPDATE SKIP LOCKED",
	}
}

// transaction is a sqlstore.Tx: a transaction, or a pool, with one for each statement.
type transaction struct {
	conn interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	}
}

// Exec implements sqlstore.Tx.
func (t transaction) Exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	tag, err := t.conn.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

// Each implements sqlstore.Tx.
func (t transaction) Each(ctx context.Context, fn func(sqlstore.Row) error, query string, args ...any) error {
	rows, err := t.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// loading is the sqlstore.Tx of LoadApps: each query has the deadline.
type loading struct {
	transaction
	s *Store
}

// Each implements sqlstore.Tx.
func (l loading) Each(ctx context.Context, fn func(sqlstore.Row) error, query string, args ...any) error {
	return l.s.ask(ctx, queryLoadApps, "load apps", func(ctx context.Context) error {
		return l.transaction.Each(ctx, fn, query, args...)
	})
}

// LoadApps implements app.Store. Each query has the deadline; fn may take its time.
func (s *Store) LoadApps(ctx context.Context, fn func(app.Record) error) error {
	var tx pgx.Tx
	var revision int64
	err := s.ask(ctx, queryLoadApps, "load apps", func(ctx context.Context) (err error) {
		if tx, err = s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
			return err
		}
		revision, err = appsRevision(ctx, tx)
		return err
	})
	if tx != nil {
		defer s.end(ctx, tx)
	}
	if err != nil {
		return err
	}
	err = s.sql.LoadApps(ctx, loading{transaction{tx}, s}, func(r app.Record) error {
		if err := fn(r); err != nil {
			return fmt.Errorf("postgres store: load apps: %w", err)
		}
		return nil
	})
	if err == nil {
		s.loaded.Store(revision)
	}
	return err
}

// end gives the connection of a transaction back that has changed nothing.
func (s *Store) end(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	_ = tx.Rollback(ctx) // or else the connection is closed
}

// change runs fn in a transaction that counts as a change of apps, unless it fails.
func (s *Store) change(ctx context.Context, kind queryKind, what string, fn func(ctx context.Context, tx sqlstore.Tx) error) error {
	return s.ask(ctx, kind, what, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			// Should this node vanish, it must not hold up the others.
			limit := strconv.FormatInt(s.o.Timeout.Milliseconds(), 10)
			if _, err := tx.Exec(ctx, "SELECT set_config('idle_in_transaction_session_timeout', $1, true), set_config('lock_timeout', $1, true)", limit); err != nil {
				return err
			}
			var revision int64
			if err := tx.QueryRow(ctx, "UPDATE millrace_revisions SET revision = revision + 1 WHERE name = 'apps' RETURNING revision").Scan(&revision); err != nil {
				return err
			}
			if err := fn(ctx, transaction{tx}); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", appsChannel, strconv.FormatInt(revision, 10))
			return err
		})
	})
}

// PutApp implements app.Store.
func (s *Store) PutApp(ctx context.Context, r app.Record) (put app.Record, err error) {
	err = s.change(ctx, queryPutApp, fmt.Sprintf("put app %q", r.ID), func(ctx context.Context, tx sqlstore.Tx) (err error) {
		put, err = s.sql.PutApp(ctx, tx, r)
		return err
	})
	if err != nil {
		return app.Record{}, err
	}
	return put, nil
}

// DeleteApp implements app.Store.
func (s *Store) DeleteApp(ctx context.Context, id string, version uint64) error {
	return s.change(ctx, queryDeleteApp, fmt.Sprintf("delete app %q", id), func(ctx context.Context, tx sqlstore.Tx) error {
		return s.sql.DeleteApp(ctx, tx, id, version)
	})
}

// ClaimSignature reports whether this is the first claim of the signature of a request, on any
// node; it stays claimed for ttl. It implements the Signatures of package admin. Claims that have
// expired go.
func (s *Store) ClaimSignature(ctx context.Context, signature string, ttl time.Duration) (isFirst bool, err error) {
	err = s.ask(ctx, queryClaimSignature, "claim signature", func(ctx context.Context) (err error) {
		isFirst, err = s.sql.ClaimSignature(ctx, transaction{s.pool}, signature, ttl)
		return err
	})
	return isFirst && err == nil, err
}
