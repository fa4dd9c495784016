package embedded

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

const fileName = "millrace.db"

// Options of a store. Path is required; other zero fields mean the default.
type Options struct {
	Path    string           // the folder; made if it is missing
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

// Store is one open database. Its methods are safe for concurrent use, except that
// CommitEntities is called once at a time.
type Store struct {
	o    Options
	file string
	lock *lock
	kept []identity // the files that are open; immutable after Open

	writer     *sql.DB // one connection: whoever has it is the only one who writes
	reader     *sql.DB // reads, and writes the WAL back
	statements statements
	args       []any // of one statement; owned by whoever has the writer

	unfolded   atomic.Int64 // estimated bytes in the log
	unwritten  atomic.Int64 // estimated bytes in the WAL that are not in the database file yet
	wake       chan struct{}
	folds      chan chan<- error // requests to fold now
	stop       context.CancelFunc
	maintained sync.WaitGroup
}

// Open opens the database in the folder o.Path and makes it if there is none. ctx bounds the
// opening only. It fails while another process has the folder, with ErrLocked, and on a damaged
// file, with ErrDamaged.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	s := &Store{o: o, wake: make(chan struct{}, 1), folds: make(chan chan<- error)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded store: open %s: %w", o.Path, err), s.release())
	}
	maintenance, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.maintained.Go(func() { s.maintain(maintenance) }) // ends with stop
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	folder, err := filepath.Abs(s.o.Path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return full(err)
	}
	if s.lock, err = acquire(ctx, folder); err != nil {
		return err
	}
	s.file = filepath.Join(folder, fileName)
	if err := touch(s.file); err != nil {
		return full(err)
	}
	if s.writer, err = connect(s.file, 1); err != nil {
		return err
	}
	if err := patiently(ctx, func() error { return migrate(ctx, s.writer) }); err != nil {
		return s.explain(err)
	}
	if s.reader, err = connect(s.file, 2); err != nil {
		return err
	}
	if err := s.statements.prepare(ctx, s.writer); err != nil {
		return s.explain(err)
	}
	if s.kept, err = identify(s.file, s.file+"-wal", filepath.Join(folder, lockName)); err != nil {
		return err
	}
	return s.explain(s.measureLog(ctx))
}

// Prepare does what must be written before the store is read, so that a full disk shows here
// (ErrFull), and not in the middle of a start.
func (s *Store) Prepare(ctx context.Context) error {
	if err := s.Health(ctx); err != nil {
		return err
	}
	return s.fail("fold the log", s.askFold(ctx))
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
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), // the rest is for patiently
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

// Close waits for what is under way, writes the WAL back and lets the folder go. The store must
// not be used afterwards.
func (s *Store) Close() error {
	s.stop()
	s.maintained.Wait()
	_, err := s.writer.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	if err = errors.Join(s.explain(err), s.release()); err != nil {
		return fmt.Errorf("embedded store: close: %w", err)
	}
	return nil
}

// release closes what open has opened.
func (s *Store) release() error {
	var err error
	if s.reader != nil {
		err = s.reader.Close()
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.release())
	}
	return err
}

// write runs fn in a transaction of its own. what says for whom, should it fail. While the open
// files are not those in the folder it fails with ErrMoved: what is written would be gone with the
// process.
func (s *Store) write(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	if err := s.look(); err != nil {
		return s.fail(what, err)
	}
	var tx *sql.Tx
	err := patiently(ctx, func() (err error) {
		tx, err = s.writer.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return s.fail(what, err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback() // what failed is worth more than that this failed too
		return s.fail(what, err)
	}
	if err := tx.Commit(); err != nil {
		// A COMMIT that SQLite refuses leaves its transaction open, and the next could not begin.
		_, _ = s.writer.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return s.fail(what, err)
	}
	return nil
}

// each calls fn for every row of a query, until it fails.
func (s *Store) each(ctx context.Context, fn func(rows *sql.Rows) error, query string, args ...any) error {
	var rows *sql.Rows
	err := patiently(ctx, func() (err error) {
		rows, err = s.reader.QueryContext(ctx, query, args...)
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

// fail is nil for nil.
func (s *Store) fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("embedded store: %s: %w", what, s.explain(err))
}
