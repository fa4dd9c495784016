package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/app"
)

var _ app.Store = (*Store)(nil)

// LoadApps implements app.Store. One statement reads one moment.
func (s *Store) LoadApps(ctx context.Context, fn func(app.Record) error) error {
	var r app.Record // whose keys are being collected
	err := s.each(ctx, func(rows *sql.Rows) error {
		next, key, err := scanApp(rows)
		if err != nil {
			return err
		}
		if next.ID != r.ID && r.Version > 0 {
			if err := fn(r); err != nil {
				return err
			}
		}
		if next.ID != r.ID || r.Version == 0 {
			r = next
		}
		if key.Valid {
			r.Keys = append(r.Keys, key.String)
		}
		return nil
	}, `SELECT apps.id, apps.version, apps.changed, app_keys.key, CASE WHEN app_keys.place > 0 THEN NULL ELSE apps.document END
		FROM apps LEFT JOIN app_keys ON app_keys.app = apps.id ORDER BY apps.id, app_keys.place`)
	if err == nil && r.Version > 0 {
		err = fn(r)
	}
	return s.fail("load apps", err)
}

// scanApp reads a row of an app and one of its keys, if it has any; the document comes with the
// first.
func scanApp(rows *sql.Rows) (r app.Record, key sql.NullString, err error) {
	var changed int64
	err = rows.Scan(&r.ID, &r.Version, &changed, &key, &r.Document)
	r.Changed = time.UnixMilli(changed)
	return r, key, err
}

// PutApp implements app.Store.
func (s *Store) PutApp(ctx context.Context, r app.Record) (app.Record, error) {
	err := s.write(ctx, fmt.Sprintf("put app %q", r.ID), func(tx *sql.Tx) error {
		version, err := appVersion(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if version != r.Version {
			return app.ErrConflict
		}
		r.Version, r.Changed = version+1, time.UnixMilli(s.o.Now().UnixMilli())
		if _, err := tx.ExecContext(ctx, `INSERT INTO apps (id, version, changed, document) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = excluded.version, changed = excluded.changed, document = excluded.document`,
			r.ID, int64(r.Version), r.Changed.UnixMilli(), r.Document); err != nil {
			return err
		}
		return saveAppKeys(ctx, tx, r.ID, r.Keys)
	})
	if err != nil {
		return app.Record{}, err
	}
	s.db.Wrote(int64(len(r.Document)) + int64(len(r.Keys)+2)*pageSize)
	return r, nil
}

// appVersion is 0 for an app that is not there.
func appVersion(ctx context.Context, tx *sql.Tx, id string) (version uint64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT version FROM apps WHERE id = ?", id).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return version, err
}

func saveAppKeys(ctx context.Context, tx *sql.Tx, id string, keys []string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM app_keys WHERE app = ?", id); err != nil {
		return err
	}
	for i, key := range keys {
		var owner string
		err := tx.QueryRowContext(ctx, "SELECT app FROM app_keys WHERE key = ?", key).Scan(&owner)
		switch {
		case err == nil && owner != id:
			return fmt.Errorf("key %q: %w", key, app.ErrKeyTaken)
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO app_keys (key, app, place) VALUES (?, ?, ?)", key, id, i); err != nil {
			return err
		}
	}
	return nil
}

// DeleteApp implements app.Store.
func (s *Store) DeleteApp(ctx context.Context, id string, version uint64) error {
	err := s.write(ctx, fmt.Sprintf("delete app %q", id), func(tx *sql.Tx) error {
		was, err := appVersion(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case was == 0:
			return app.ErrNotFound
		case was != version:
			return app.ErrConflict
		}
		if err := saveAppKeys(ctx, tx, id, nil); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM apps WHERE id = ?", id)
		return err
	})
	if err == nil {
		s.db.Wrote(2 * pageSize)
	}
	return err
}

// WatchApps implements app.Store: the folder belongs to this node alone.
func (s *Store) WatchApps(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}
