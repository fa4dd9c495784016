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
	insertOne, insertMany *sql.Stmt // blocks: one row, rowsPerInsert rows
	topicOne, topicMany   *sql.Stmt // topics: likewise
	remove                *sql.Stmt // blocks
	heads, body           *sql.Stmt // of blocks
	putTold, removeTold   *sql.Stmt

	// Of the reader.
	topic, readHeads, readBody, newestFirst, oldestFirst *sql.Stmt
	toldOf, toldOfAll                                    *sql.Stmt
}

const (
	insertBlock = `INSERT INTO log_blocks (id, count, bytes, oldest, newest, body) VALUES `
	blockRow    = `(?,?,?,?,?,?)`

	topicColumns = `id, app, kind, name, stream, applied, first, next, bytes, first_time, last_time`
	insertTopic  = `INSERT INTO log_topics (` + topicColumns + `) VALUES `
	topicRow     = `(?,?,?,?,?,?,?,?,?,?,?)`
	topicCells   = 11
	updateTopic  = ` ON CONFLICT (id) DO UPDATE SET stream = excluded.stream, applied = excluded.applied, first = excluded.first,
		next = excluded.next, bytes = excluded.bytes, first_time = excluded.first_time, last_time = excluded.last_time`

	selectTopic = `SELECT ` + topicColumns + ` FROM log_topics WHERE name = ? AND app = ? AND kind = ?`
	selectHeads = `SELECT id, count, bytes, oldest, newest FROM log_blocks WHERE id >= ? AND id <= ? ORDER BY id`
	selectBody  = `SELECT body FROM log_blocks WHERE id = ?`
	insertTold  = `INSERT INTO log_told (app, kind, name, user, node, life, id, time) VALUES (?,?,?,?,?,?,?,?)
		ON CONFLICT (app, kind, name, user) DO UPDATE SET node = excluded.node, life = excluded.life, id = excluded.id, time = excluded.time`
	deleteTold = `DELETE FROM log_told WHERE app = ? AND kind = ? AND name = ? AND user = ?`
	selectTold = `SELECT app, kind, name, user, node, life, id, time FROM log_told `
	orderTold  = `ORDER BY app, kind, name, user`

	// The blocks that begin in a range of keys, but for those that end before a key.
	selectBlocks = `SELECT id, body FROM log_blocks
		WHERE id >= ? AND id <= ? AND id + count > ? AND newest >= ? AND oldest <= ? ORDER BY id `
)

func (s *statements) prepare(ctx context.Context, db *sqlite.DB) error {
	many := func(row string) string { return strings.Repeat(row+",", rowsPerInsert-1) + row }
	for _, p := range []struct {
		db   *sql.DB
		to   **sql.Stmt
		text string
	}{
		{db.Writer(), &s.appendEntry, "INSERT INTO log_entries (id, term, body) VALUES (?, ?, ?)"},
		{db.Writer(), &s.insertOne, insertBlock + blockRow},
		{db.Writer(), &s.insertMany, insertBlock + many(blockRow)},
		{db.Writer(), &s.topicOne, insertTopic + topicRow + updateTopic},
		{db.Writer(), &s.topicMany, insertTopic + many(topicRow) + updateTopic},
		{db.Writer(), &s.remove, "DELETE FROM log_blocks WHERE id >= ? AND id <= ?"},
		{db.Writer(), &s.heads, selectHeads},
		{db.Writer(), &s.body, selectBody},
		{db.Writer(), &s.putTold, insertTold},
		{db.Writer(), &s.removeTold, deleteTold},
		{db.Reader(), &s.toldOf, selectTold + "WHERE app = ? " + orderTold},
		{db.Reader(), &s.toldOfAll, selectTold + orderTold},
		{db.Reader(), &s.topic, selectTopic},
		{db.Reader(), &s.readHeads, selectHeads},
		{db.Reader(), &s.readBody, selectBody},
		{db.Reader(), &s.newestFirst, selectBlocks + "DESC"},
		{db.Reader(), &s.oldestFirst, selectBlocks + "ASC"},
	} {
		var err error
		if *p.to, err = p.db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	return nil
}
