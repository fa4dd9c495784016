package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/internal/app"
)

var _ app.Store = (*Store)(nil)

// appsPerQuery bounds what is in memory while apps are loaded.
const appsPerQuery = 200

// LoadApps implements app.Store. The deadline is that of each query; fn may take its time.
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
	for after, more := "", err == nil; more; {
		var page []app.Record
		if page, err = s.loadPage(ctx, tx, after); err != nil {
			return err
		}
		for _, r := range page {
			if err := fn(r); err != nil {
				return fmt.Errorf("postgres store: load apps: %w", err)
			}
			after = r.ID
		}
		more = len(page) == appsPerQuery
	}
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

func (s *Store) loadPage(ctx context.Context, tx pgx.Tx, after string) (page []app.Record, err error) {
	err = s.ask(ctx, queryLoadApps, "load apps", func(ctx context.Context) error {
		rows, err := tx.Query(ctx, `SELECT id, version, changed, document,
				ARRAY(SELECT key FROM millrace_app_keys WHERE app = millrace_apps.id ORDER BY place)
			FROM millrace_apps WHERE id > $1 ORDER BY id LIMIT $2`, after, appsPerQuery)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r app.Record, err error) {
			err = row.Scan(&r.ID, &r.Version, &r.Changed, &r.Document, &r.Keys)
			return r, err
		})
		return err
	})
	return page, err
}

// change runs fn in a transaction that counts as a change of apps, unless it fails.
func (s *Store) change(ctx context.Context, kind queryKind, what string, fn func(ctx context.Context, tx pgx.Tx) error) error {
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
			if err := fn(ctx, tx); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", appsChannel, strconv.FormatInt(revision, 10))
			return err
		})
	})
}

// PutApp implements app.Store. The time is that of the database, which all nodes share.
func (s *Store) PutApp(ctx context.Context, r app.Record) (app.Record, error) {
	query := `UPDATE millrace_apps SET version = version + 1, changed = date_trunc('milliseconds', clock_timestamp()), document = $3
		WHERE id = $1 AND version = $2 RETURNING changed`
	if r.Version == 0 {
		query = `INSERT INTO millrace_apps (id, version, changed, document)
			VALUES ($1, $2 + 1, date_trunc('milliseconds', clock_timestamp()), $3) ON CONFLICT DO NOTHING RETURNING changed`
	}
	err := s.change(ctx, queryPutApp, fmt.Sprintf("put app %q", r.ID), func(ctx context.Context, tx pgx.Tx) error {
		// The bits of a number that is too large are those of a version that no app has.
		err := tx.QueryRow(ctx, query, r.ID, int64(r.Version), r.Document).Scan(&r.Changed)
		if errors.Is(err, pgx.ErrNoRows) {
			return app.ErrConflict
		}
		if err != nil {
			return err
		}
		return saveAppKeys(ctx, tx, r.ID, r.Keys)
	})
	if err != nil {
		return app.Record{}, err
	}
	r.Version++
	return r, nil
}

func saveAppKeys(ctx context.Context, tx pgx.Tx, id string, keys []string) error {
	var taken string
	err := tx.QueryRow(ctx, "SELECT key FROM millrace_app_keys WHERE key = ANY ($1) AND app <> $2 LIMIT 1", keys, id).Scan(&taken)
	if err == nil {
		return fmt.Errorf("key %q: %w", taken, app.ErrKeyTaken)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM millrace_app_keys WHERE app = $1", id); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO millrace_app_keys (key, app, place)
		SELECT key, $1, place - 1 FROM unnest($2::text[]) WITH ORDINALITY AS keys (key, place)`, id, keys)
	return err
}

// DeleteApp implements app.Store. The keys go with the app.
func (s *Store) DeleteApp(ctx context.Context, id string, version uint64) error {
	return s.change(ctx, queryDeleteApp, fmt.Sprintf("delete app %q", id), func(ctx context.Context, tx pgx.Tx) error {
		deleted, err := tx.Exec(ctx, "DELETE FROM millrace_apps WHERE id = $1 AND version = $2", id, int64(version))
		if err != nil || deleted.RowsAffected() > 0 {
			return err
		}
		var found bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM millrace_apps WHERE id = $1)", id).Scan(&found); err != nil {
			return err
		}
		if found {
			return app.ErrConflict
		}
		return app.ErrNotFound
	})
}
