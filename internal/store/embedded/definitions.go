package embedded

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/definition"
)

var _ definition.Store = (*Store)(nil)

// LoadDefinitions implements definition.Store. Definitions come by app and id.
func (s *Store) LoadDefinitions(ctx context.Context, fn func(app string, definition []byte) error) error {
	err := s.each(ctx, func(rows *sql.Rows) error {
		var app string
		var definition []byte
		if err := rows.Scan(&app, &definition); err != nil {
			return err
		}
		return fn(app, definition)
	}, "SELECT app, definition FROM definitions ORDER BY app, id")
	return s.fail("load definitions", err)
}

// SaveDefinition implements definition.Store.
func (s *Store) SaveDefinition(ctx context.Context, app, id string, definition []byte) error {
	return s.write(ctx, "save definition", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO definitions (app, id, definition) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET definition = excluded.definition`, app, id, definition)
		return err
	})
}

// DeleteDefinition implements definition.Store. To delete what is not there is no error.
func (s *Store) DeleteDefinition(ctx context.Context, app, id string) error {
	return s.write(ctx, "delete definition", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM definitions WHERE app = ? AND id = ?", app, id)
		return err
	})
}
