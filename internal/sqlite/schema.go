package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// logTables makes the tables of log/embedded. Times are Unix milliseconds; terms, indexes and serials are
// below 1<<63. log_state has one row. What is between first and next of a topic is in its table of
// publications; applied is the last entry of which the topic has everything.
const logTables = `
	CREATE TABLE log_state (
		id INTEGER PRIMARY KEY, term INTEGER NOT NULL, folded INTEGER NOT NULL, trimmed INTEGER NOT NULL
	) STRICT;
	INSERT INTO log_state (id, term, folded, trimmed) VALUES (1, 0, 0, 0);
	CREATE TABLE log_entries (
		id INTEGER PRIMARY KEY, term INTEGER NOT NULL, body BLOB NOT NULL
	) STRICT;
	CREATE TABLE log_topics (
		id INTEGER PRIMARY KEY,
		app TEXT NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, stream TEXT NOT NULL,
		applied INTEGER NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL, bytes INTEGER NOT NULL,
		first_time INTEGER NOT NULL, last_time INTEGER NOT NULL
	) STRICT;
	CREATE UNIQUE INDEX log_topics_name ON log_topics (name, app, kind);
	CREATE TABLE log_records (
		topic INTEGER NOT NULL, serial INTEGER NOT NULL, time INTEGER NOT NULL, envelope BLOB NOT NULL,
		PRIMARY KEY (topic, serial)
	) STRICT, WITHOUT ROWID`

// logBlocks makes the table of publications of log/embedded, in the place of one that nothing has written
// to. id: see key in log/embedded. bytes are of the publications, oldest and newest their least and
// greatest time.
const logBlocks = `
	DROP TABLE log_records;
	CREATE TABLE log_blocks (
		id INTEGER PRIMARY KEY,
		count INTEGER NOT NULL, bytes INTEGER NOT NULL, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,
		body BLOB NOT NULL
	) STRICT`

// logTold makes the table of what webhooks were told to be there, of log/embedded. told is the entry up to which it has
// all edges. life is a uint64, stored as the int64 of the same bits.
const logTold = `
	ALTER TABLE log_state ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
	CREATE TABLE log_told (
		app TEXT NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL,
		node TEXT NOT NULL, life INTEGER NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL,
		PRIMARY KEY (app, kind, name, user)
	) STRICT, WITHOUT ROWID`

// logApps makes the table of the apps whose topics log/embedded keeps, each with the entry behind which it has
// been kept.
const logApps = `
	CREATE TABLE log_apps (
		app TEXT NOT NULL PRIMARY KEY, since INTEGER NOT NULL
	) STRICT, WITHOUT ROWID`

// migrations lead from one version of the schema to the next: migrations[0] makes version 1.
// A migration that has been released is never changed.
func migrations() []string {
	return []string{
		// seq_slot, seq_index and number are uint64, stored as the int64 of the same bits.
		// state: see the constants in entities.go. Times are Unix milliseconds.
		`CREATE TABLE entities (
			app TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL,
			state INTEGER NOT NULL, number INTEGER NOT NULL, seq_slot INTEGER NOT NULL, seq_index INTEGER NOT NULL,
			data BLOB,
			PRIMARY KEY (app, type, key)
		) STRICT, WITHOUT ROWID;
		CREATE TABLE entity_log (
			id INTEGER PRIMARY KEY,
			app TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL,
			state INTEGER NOT NULL, number INTEGER NOT NULL, seq_slot INTEGER NOT NULL, seq_index INTEGER NOT NULL,
			data BLOB
		) STRICT;
		CREATE TABLE receipts (
			id INTEGER PRIMARY KEY,
			app TEXT NOT NULL, key TEXT NOT NULL,
			seq_slot INTEGER NOT NULL, seq_index INTEGER NOT NULL, expires INTEGER NOT NULL
		) STRICT;
		CREATE TABLE definitions (
			app TEXT NOT NULL, id TEXT NOT NULL, definition BLOB NOT NULL,
			PRIMARY KEY (app, id)
		) STRICT, WITHOUT ROWID;
		CREATE TABLE revocations (
			app TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL,
			PRIMARY KEY (app, id)
		) STRICT, WITHOUT ROWID;
		CREATE INDEX revocations_until ON revocations (until)`,
		// id: see partID. Numbers are below 1<<51. Times are Unix milliseconds.
		`CREATE TABLE webhook_parts (
			id INTEGER PRIMARY KEY,
			app TEXT NOT NULL, endpoint TEXT NOT NULL, delivery TEXT NOT NULL,
			time INTEGER NOT NULL, count INTEGER NOT NULL, events BLOB NOT NULL
		) STRICT;
		CREATE TABLE webhook_letters (
			number INTEGER PRIMARY KEY,
			app TEXT NOT NULL, endpoint TEXT NOT NULL, delivery TEXT NOT NULL,
			time INTEGER NOT NULL, count INTEGER NOT NULL, events BLOB NOT NULL,
			reason TEXT NOT NULL, detail TEXT NOT NULL, attempts INTEGER NOT NULL, died INTEGER NOT NULL
		) STRICT;
		CREATE INDEX webhook_letters_app ON webhook_letters (app, number);
		CREATE TABLE webhook_subjects (
			app TEXT NOT NULL, kind INTEGER NOT NULL, channel TEXT NOT NULL, user TEXT NOT NULL,
			PRIMARY KEY (app, kind, channel, user)
		) STRICT, WITHOUT ROWID;
		CREATE TABLE webhook_sequences (
			app TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL
		) STRICT, WITHOUT ROWID`,
		// changed is in Unix milliseconds; place is the index of the key among the keys of its app.
		`CREATE TABLE apps (
			id TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, changed INTEGER NOT NULL, document BLOB NOT NULL
		) STRICT;
		CREATE TABLE app_keys (
			key TEXT NOT NULL PRIMARY KEY, app TEXT NOT NULL, place INTEGER NOT NULL
		) STRICT, WITHOUT ROWID;
		CREATE UNIQUE INDEX app_keys_app ON app_keys (app, place)`,
		// expires is in Unix milliseconds. health has one row, which is written to see whether
		// writing works.
		`CREATE TABLE signatures (
			signature TEXT NOT NULL PRIMARY KEY, expires INTEGER NOT NULL
		) STRICT, WITHOUT ROWID;
		CREATE INDEX signatures_expires ON signatures (expires);
		CREATE TABLE health (
			id INTEGER PRIMARY KEY, looked INTEGER NOT NULL
		) STRICT`,
		// What runs are and which there are of the time before says entity.Run.
		`CREATE TABLE runs (
			tag INTEGER PRIMARY KEY, first_slot INTEGER NOT NULL, last_slot INTEGER NOT NULL, last_index INTEGER NOT NULL
		) STRICT`,
		logTables,
		logBlocks,
		logTold,
		logApps,
	}
}

// migrate brings the schema to the version that this program knows, one transaction for each
// version.
func migrate(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %q, want wal; the folder must be on a local disk", mode)
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	for steps := migrations(); version < len(steps); version++ {
		if err := step(ctx, db, steps[version], version+1); err != nil {
			return fmt.Errorf("schema version %d: %w", version+1, err)
		}
	}
	return nil
}

// schemaVersion is the version of the schema, which this program knows; zero if there is none.
func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if known := len(migrations()); version > known {
		return 0, fmt.Errorf("%w: its schema has version %d, this program knows %d; run the newer Millrace, or restore the backup made before it", ErrTooNew, version, known)
	}
	return version, nil
}

func step(ctx context.Context, db *sql.DB, text string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}
