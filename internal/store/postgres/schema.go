package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// migrationLock is an advisory lock of the database: nodes that start together migrate one after
// another. The number says nothing.
const migrationLock = 0x6d696c6c72616365

// migrations lead from one version of the schema to the next: migrations[0] makes version 1.
// A migration that has been released is never changed.
func migrations() []string {
	return []string{
		// Ids are compared by their bytes, whatever the database does. document keeps its text.
		// place is the index of the key among the keys of its app.
		`CREATE TABLE millrace_apps (
			id text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
			version bigint NOT NULL,
			changed timestamptz NOT NULL,
			document json NOT NULL
		);
		CREATE TABLE millrace_app_keys (
			key text COLLATE "C" PRIMARY KEY,
			app text COLLATE "C" NOT NULL REFERENCES millrace_apps (id) ON DELETE CASCADE,
			place integer NOT NULL,
			UNIQUE (app, place)
		);
		CREATE TABLE millrace_revisions (
			name text PRIMARY KEY,
			revision bigint NOT NULL
		);
		INSERT INTO millrace_revisions (name, revision) VALUES ('apps', 0)`,
		`CREATE TABLE millrace_signatures (
			signature text COLLATE "C" PRIMARY KEY,
			expires timestamptz NOT NULL
		);
		CREATE INDEX millrace_signatures_expires ON millrace_signatures (expires)`,
	}
}

// migrate brings the schema to the version that this program knows, all versions in one
// transaction. It changes nothing, and needs no right to, where that version is there.
func (s *Store) migrate(ctx context.Context) error {
	steps := migrations()
	version, err := schemaVersion(ctx, s.pool)
	if err != nil || version == len(steps) {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx) // another node may have been first
		if err != nil || version == len(steps) {
			return err
		}
		if version == 0 {
			if _, err := tx.Exec(ctx, "CREATE TABLE millrace_schema (version integer NOT NULL)"); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO millrace_schema (version) VALUES (0)"); err != nil {
				return err
			}
		}
		for ; version < len(steps); version++ {
			if _, err := tx.Exec(ctx, steps[version]); err != nil {
				return fmt.Errorf("schema version %d: %w", version+1, err)
			}
		}
		_, err = tx.Exec(ctx, "UPDATE millrace_schema SET version = $1", len(steps))
		return err
	})
}

// schemaVersion is 0 where there is no table yet.
func schemaVersion(ctx context.Context, q queries) (version int, err error) {
	var found bool
	// Not to_regclass, which may answer from what this session knew before it waited for a lock.
	const exists = "SELECT EXISTS (SELECT FROM pg_tables WHERE tablename = 'millrace_schema' AND schemaname = ANY (current_schemas(false)))"
	if err := q.QueryRow(ctx, exists).Scan(&found); err != nil || !found {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT version FROM millrace_schema").Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errors.New("the table millrace_schema is empty; restore it from a backup, or drop all tables whose names begin with millrace_ to start empty")
	}
	if known := len(migrations()); err == nil && version > known {
		err = fmt.Errorf("%w: their schema has version %d, this program knows %d; run the newer Millrace", ErrTooNew, version, known)
	}
	return version, err
}
