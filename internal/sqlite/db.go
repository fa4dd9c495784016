package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// FileName is the name of the database in its folder.
const FileName = "millrace.db"

// Readers is how many connections read beside the writer.
const Readers = 2

// PageSize is how many bytes the database reads and writes at a time.
const PageSize = 4096

// Options of a database. Path is required; other zero fields mean the default.
type Options struct {
	Path string           // the folder; made if it is missing
	Now  func() time.Time // default time.Now
	Log  *slog.Logger     // default none

	Checkpointed func(took time.Duration) // told of each checkpoint; default none
	Failed       func()                   // told of maintenance that failed; it is tried again; default none
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// DB is one open database. Its methods are safe for concurrent use.
type DB struct {
	o    Options
	file string
	lock *lock
	kept []identity // the files that are open; immutable after Open

	writer *sql.DB // one connection: the caller that has it is the only one that writes
	reader *sql.DB // reads, and writes the WAL back

	unwritten    atomic.Int64  // estimated bytes in the WAL that are not in the database file yet
	due          chan struct{} // one slot: the WAL is to be written back
	checkpoints  chan struct{} // one slot: taken by the goroutine that writes it back
	stop         context.CancelFunc
	checkpointer sync.WaitGroup
}

// Open opens the database in the folder o.Path and makes it if there is none. ctx bounds the
// opening only. It fails while another process has the folder, with ErrLocked, and on a damaged
// file, with ErrDamaged.
func Open(ctx context.Context, o Options) (*DB, error) {
	o = o.withDefaults()
	db := &DB{o: o, due: make(chan struct{}, 1), checkpoints: make(chan struct{}, 1)}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.release())
	}
	checkpointing, stop := context.WithCancel(context.WithoutCancel(ctx))
	db.stop = stop
	db.checkpointer.Go(func() { db.writeBackWhenDue(checkpointing) }) // ends with stop
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	folder, err := filepath.Abs(db.o.Path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return full(err)
	}
	if db.lock, err = acquire(ctx, folder); err != nil {
		return err
	}
	if err := removeUnfinished(folder); err != nil {
		return err
	}
	db.file = filepath.Join(folder, FileName)
	if err := touch(db.file); err != nil {
		return full(err)
	}
	if db.writer, err = connect(db.file, 1); err != nil {
		return err
	}
	if err := Patiently(ctx, func() error { return migrate(ctx, db.writer) }); err != nil {
		return db.Explain(err)
	}
	if db.reader, err = connect(db.file, Readers); err != nil {
		return err
	}
	db.kept, err = identify(db.file, db.file+"-wal", filepath.Join(folder, lockName))
	return err
}

// touch makes an empty file that only its owner may read. SQLite gives the files beside it the
// same permissions.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// connect does not touch the file yet: the first statement does.
func connect(file string, connections int) (*sql.DB, error) {
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), // the rest is for Patiently
			"journal_mode(wal)",
			"synchronous(full)",
			"wal_autocheckpoint(0)",        // maintain does it
			"journal_size_limit(67108864)", // a WAL that a burst has made large becomes small again
			"cache_size(-32768)",           // KiB
			"temp_store(memory)",
			"trusted_schema(off)",
		},
	}
	db, err := sql.Open("sqlite", dataSource(file, query))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func dataSource(file string, query url.Values) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: query.Encode()}).String()
}

// Writer is the connection of Write, to prepare its statements on.
func (db *DB) Writer() *sql.DB { return db.writer }

// Reader reads beside the writer, at most Readers at a time.
func (db *DB) Reader() *sql.DB { return db.reader }

// FreeSpace is how many bytes this user may still write beside the database file, if that is known.
func (db *DB) FreeSpace() (n uint64, isKnown bool) { return FreeSpace(filepath.Dir(db.file)) }

// Close waits for what is under way, writes the WAL back and lets the folder go. The database must
// not be used afterwards.
func (db *DB) Close(ctx context.Context) error {
	db.stop()
	db.checkpointer.Wait()
	_, err := db.writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(db.Explain(err), db.release())
}

// release closes what open has opened.
func (db *DB) release() error {
	var err error
	if db.reader != nil {
		err = db.reader.Close()
	}
	if db.writer != nil {
		err = errors.Join(err, db.writer.Close())
	}
	if db.lock != nil {
		err = errors.Join(err, db.lock.release())
	}
	return err
}

// Write runs fn in a transaction of its own, which is on the disk when Write returns nil. While the
// open files are not those in the folder it fails with ErrMoved: what is written would be gone
// with the process. Should fn panic, nothing is written.
func (db *DB) Write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.write(ctx, db.writer, fn)
}

// transactor is the writer, or the one connection that it has.
type transactor interface {
	BeginTx(ctx context.Context, o *sql.TxOptions) (*sql.Tx, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (db *DB) write(ctx context.Context, on transactor, fn func(tx *sql.Tx) error) error {
	if err := db.look(); err != nil {
		return err
	}
	var tx *sql.Tx
	err := Patiently(ctx, func() (err error) {
		tx, err = on.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return db.Explain(err)
	}
	isDone := false
	defer func() {
		if !isDone {
			_ = tx.Rollback() // what failed is worth more than that this failed too
		}
	}()
	if err := fn(tx); err != nil {
		return db.Explain(err)
	}
	isDone = true
	if err := tx.Commit(); err != nil {
		// A COMMIT that SQLite refuses leaves its transaction open, and the next could not begin.
		_, _ = on.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return fmt.Errorf("%w: %w", ErrCommit, db.Explain(err))
	}
	return nil
}

// Each calls fn for every row of a query, until it fails.
func (db *DB) Each(ctx context.Context, fn func(rows *sql.Rows) error, query string, args ...any) error {
	var rows *sql.Rows
	err := Patiently(ctx, func() (err error) {
		rows, err = db.reader.QueryContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
