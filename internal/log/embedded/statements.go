package embedded

import (
	"context"
	"database/sql"
	"strings"

	"github.com/millrace/millrace/internal/sqlite"
)

// rowsPerInsert balances the cost of a call against the cost of a long statement; BenchmarkFold.
const rowsPerInsert = 32

// statements that are used often.
type statements struct {
	// Of the writer.
	appendEntry           *sql.Stmt
	insertOne, insertMany *sql.Stmt // records: one row, rowsPerInsert rows
	topicOne, topicMany   *sql.Stmt // topics: likewise
	removeBelow, excess   *sql.Stmt

	// Of the reader.
	topic, oldest, newestFirst, oldestFirst *sql.Stmt
}

const (
	insertRecord = `INSERT INTO log_records (topic, serial, time, envelope) VALUES `
	recordRow    = `(?,?,?,?)`
	recordCells  = 4

	topicColumns = `id, app, name, stream, applied, first, next, bytes, first_time, last_time`
	insertTopic  = `INSERT INTO log_topics (kind, ` + topicColumns + `) VALUES `
	topicRow     = `(0,?,?,?,?,?,?,?,?,?,?)`
	topicCells   = 10
	updateTopic  = ` ON CONFLICT (id) DO UPDATE SET stream = excluded.stream, applied = excluded.applied, first = excluded.first,
		next = excluded.next, bytes = excluded.bytes, first_time = excluded.first_time, last_time = excluded.last_time`

	selectTopic = `SELECT ` + topicColumns + ` FROM log_topics WHERE name = ? AND app = ? AND kind = 0`
	// The sizes of records, the oldest first.
	selectOldest = `SELECT serial, length(envelope), time FROM log_records WHERE topic = ? AND serial >= ? ORDER BY serial`
	selectPage   = `SELECT envelope FROM log_records
		WHERE topic = ? AND serial > ? AND serial < ? AND time >= ? AND time <= ? ORDER BY serial `
)

func (s *statements) prepare(ctx context.Context, db *sqlite.DB) error {
	many := func(row string) string { return strings.Repeat(row+",", rowsPerInsert-1) + row }
	for _, p := range []struct {
		db   *sql.DB
		to   **sql.Stmt
		text string
	}{
		{db.Writer(), &s.appendEntry, "INSERT INTO log_entries (id, term, body) VALUES (?, ?, ?)"},
		{db.Writer(), &s.insertOne, insertRecord + recordRow},
		{db.Writer(), &s.insertMany, insertRecord + many(recordRow)},
		{db.Writer(), &s.topicOne, insertTopic + topicRow + updateTopic},
		{db.Writer(), &s.topicMany, insertTopic + many(topicRow) + updateTopic},
		{db.Writer(), &s.removeBelow, "DELETE FROM log_records WHERE topic = ? AND serial < ?"},
		{db.Writer(), &s.excess, selectOldest},
		{db.Reader(), &s.topic, selectTopic},
		{db.Reader(), &s.oldest, selectOldest},
		{db.Reader(), &s.newestFirst, selectPage + "DESC LIMIT ?"},
		{db.Reader(), &s.oldestFirst, selectPage + "ASC LIMIT ?"},
	} {
		var err error
		if *p.to, err = p.db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	return nil
}
