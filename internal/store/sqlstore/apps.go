package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// appsPerQuery bounds what is in memory while apps are loaded.
const appsPerQuery = 200

// LoadApps calls fn with every app, by id. tx sees one moment. fn is called between queries and may
// take its time.
func (q *Queries) LoadApps(ctx context.Context, tx Tx, fn func(app.Record) error) error {
	for after := ""; ; {
		page, err := q.loadPage(ctx, tx, after)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := fn(r); err != nil {
				return err
			}
			after = r.ID
		}
		if len(page) < appsPerQuery {
			return nil
		}
	}
}

// loadPage reads the apps that come after an id. The document of an app comes with its first key.
func (q *Queries) loadPage(ctx context.Context, tx Tx, after string) (page []app.Record, err error) {
	err = tx.Each(ctx, func(row Row) error {
		var r app.Record
		var changed stamp
		var key *string
		if err := row.Scan(&r.ID, &r.Version, &changed, &key, &r.Document); err != nil {
			return err
		}
		if n := len(page); n == 0 || page[n-1].ID != r.ID {
			r.Changed = changed.Time
			page = append(page, r)
		}
		if key != nil {
			last := &page[len(page)-1]
			last.Keys = append(last.Keys, *key)
		}
		return nil
	}, q.text(`SELECT a.id, a.version, a.changed, k.key, CASE WHEN k.place > 0 THEN NULL ELSE a.document END
		FROM (SELECT id, version, changed, document FROM @apps WHERE id > $1 ORDER BY id LIMIT $2) AS a
			LEFT JOIN @app_keys AS k ON k.app = a.id
		ORDER BY a.id, k.place`), after, appsPerQuery)
	return page, err
}

// PutApp stores r in place of the version r.Version, 0 for a new app, and returns it with the next
// version and the time. It fails with app.ErrConflict and app.ErrKeyTaken; then the caller rolls
// tx back.
func (q *Queries) PutApp(ctx context.Context, tx Tx, r app.Record) (app.Record, error) {
	query := `UPDATE @apps SET version = version + 1, changed = ` + q.moment(4) + `, document = $3
		WHERE id = $1 AND version = $2 RETURNING changed`
	if r.Version == 0 {
		query = `INSERT INTO @apps (id, version, changed, document) VALUES ($1, $2 + 1, ` + q.moment(4) + `, $3)
			ON CONFLICT DO NOTHING RETURNING changed`
	}
	var changed stamp
	// The bits of a number that is too large are the bits of a version that no app has.
	found, err := first(ctx, tx, []any{&changed}, q.text(query), r.ID, int64(r.Version), r.Document, q.d.After(0))
	if err != nil {
		return app.Record{}, err
	}
	if !found {
		return app.Record{}, app.ErrConflict
	}
	r.Version, r.Changed = r.Version+1, changed.Time
	return r, q.saveKeys(ctx, tx, r.ID, r.Keys)
}

// saveKeys replaces the keys of an app.
func (q *Queries) saveKeys(ctx context.Context, tx Tx, id string, keys []string) error {
	args := make([]any, 1, 1+len(keys))
	args[0] = id
	for _, key := range keys {
		args = append(args, key)
	}
	if len(keys) > 0 {
		var taken string
		found, err := first(ctx, tx, []any{&taken},
			q.text("SELECT key FROM @app_keys WHERE app <> $1 AND key IN ("+parameters(2, len(keys))+") LIMIT 1"), args...)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("key %q: %w", taken, app.ErrKeyTaken)
		}
	}
	if _, err := tx.Exec(ctx, q.text("DELETE FROM @app_keys WHERE app = $1"), id); err != nil || len(keys) == 0 {
		return err
	}
	var rows strings.Builder
	for i := range keys {
		if i > 0 {
			rows.WriteString(", ")
		}
		fmt.Fprintf(&rows, "($%d, $1, %d)", 2+i, i)
	}
	_, err := tx.Exec(ctx, q.text("INSERT INTO @app_keys (key, app, place) VALUES "+rows.String()), args...)
	return err
}

// DeleteApp removes that version of an app, and its keys. It fails with app.ErrConflict and
// app.ErrNotFound; then nothing has changed.
func (q *Queries) DeleteApp(ctx context.Context, tx Tx, id string, version uint64) error {
	deleted, err := tx.Exec(ctx, q.text("DELETE FROM @apps WHERE id = $1 AND version = $2"), id, int64(version))
	if err != nil {
		return err
	}
	if deleted > 0 {
		_, err = tx.Exec(ctx, q.text("DELETE FROM @app_keys WHERE app = $1"), id)
		return err
	}
	var one int64
	found, err := first(ctx, tx, []any{&one}, q.text("SELECT 1 FROM @apps WHERE id = $1"), id)
	switch {
	case err != nil:
		return err
	case found:
		return app.ErrConflict
	default:
		return app.ErrNotFound
	}
}
