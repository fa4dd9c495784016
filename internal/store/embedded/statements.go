package embedded

import (
	"context"
	"database/sql"
	"strings"
)

// rowsPerInsert balances the cost of a call against the cost of a long statement; BenchmarkCommit.
const rowsPerInsert = 32

// statements of the writer that are used often.
type statements struct {
	appendOne, appendMany *sql.Stmt // to the log: one row, rowsPerInsert rows
	foldOne, foldMany     *sql.Stmt // from the log to the table: one row, rowsPerInsert rows
	forget                *sql.Stmt
	receipt, expire       *sql.Stmt
}

const (
	insertLog = `INSERT INTO entity_log (app, type, key, state, number, seq_slot, seq_index, data) VALUES `
	logRow    = `(?,?,?,?,?,?,?,?)`
	logCells  = 8

	foldFrom = `INSERT INTO entities (app, type, key, state, number, seq_slot, seq_index, data)
		SELECT app, type, key, state, number, seq_slot, seq_index, data FROM entity_log WHERE id IN (?`
	foldInto = `)
		ON CONFLICT DO UPDATE SET state = excluded.state, number = excluded.number,
			seq_slot = excluded.seq_slot, seq_index = excluded.seq_index, data = excluded.data`
	forgetRow = `DELETE FROM entities
		WHERE (app, type, key) = (SELECT app, type, key FROM entity_log WHERE id = ?) AND state = 1`

	insertReceipt = `INSERT INTO receipts (app, key, seq_slot, seq_index, expires) VALUES (?,?,?,?,?)`
	// Receipts are made in the order in which they expire, as long as the operator does not change the
	// TTL: the first are the ones that have expired.
	expireReceipts = `DELETE FROM receipts WHERE id < (SELECT min(id) FROM receipts) + ? AND expires <= ?`
)

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&s.appendOne, insertLog + logRow},
		{&s.appendMany, insertLog + strings.Repeat(logRow+",", rowsPerInsert-1) + logRow},
		{&s.foldOne, foldFrom + foldInto},
		{&s.foldMany, foldFrom + strings.Repeat(",?", rowsPerInsert-1) + foldInto},
		{&s.forget, forgetRow},
		{&s.receipt, insertReceipt},
		{&s.expire, expireReceipts},
	} {
		var err error
		if *p.to, err = db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	return nil
}
