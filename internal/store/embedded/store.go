package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/store/sqlstore"
)

// Errors of Open, Probe, and of every write. They say what to do.
var (
	ErrLocked  = sqlite.ErrLocked
	ErrDamaged = sqlite.ErrDamaged
	ErrFull    = sqlite.ErrFull
	ErrMoved   = sqlite.ErrMoved
	ErrTooNew  = sqlite.ErrTooNew
)

// Options of a store. Path is required; other zero fields mean the default.
type Options struct {
	Path    string           // the folder; made if it is missing
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Store is one open database. Its methods are safe for concurrent use, except that
// CommitEntities is called once at a time.
type Store struct {
	o   Options
	db  *sqlite.DB
	sql *sqlstore.Queries

	statements statements
	args       []any // of one statement; owned by the caller that has the writer

	unfolded   atomic.Int64       // estimated bytes in the log
	maintainer *sqlite.Maintainer // folds
	stop       context.CancelFunc
	maintained sync.WaitGroup
}

// Open opens the database in the folder o.Path and makes it if there is none. ctx bounds the
// opening only. It fails while another process has the folder, with ErrLocked, and on a damaged
// file, with ErrDamaged.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	db, err := sqlite.Open(ctx, sqlite.Options{
		Path: o.Path, Now: o.Now, Log: o.Log,
		Checkpointed: func(took time.Duration) { o.Metrics.checkpoints.Observe(took.Seconds()) },
		Failed:       o.Metrics.failures.Inc,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded store: open %s: %w", o.Path, err)
	}
	s := &Store{o: o, db: db, sql: sqlstore.New(dialect(o.Now)), maintainer: sqlite.NewMaintainer()}
	err = s.statements.prepare(ctx, db.Writer())
	if err == nil {
		err = s.measureLog(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded store: open %s: %w", o.Path, db.Explain(err)), db.Close(context.WithoutCancel(ctx)))
	}
	maintenance, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.maintained.Go(func() { s.maintainer.Run(maintenance, 0, s.foldWhileDue, nil) }) // ends with stop
	return s, nil
}

// Probe owns the existing folder at path for a moment, and changes nothing. ErrLocked when another
// process owns it; ErrDamaged when what is there is not a database.
func Probe(ctx context.Context, path string) error { return sqlite.Probe(ctx, path) }

// Database is the database that the store shares.
func (s *Store) Database() *sqlite.DB { return s.db }

// Health writes something small and waits until it is on the disk, after whatever is being
// written: what reads well may still refuse to be written to, or may be gone from the folder. Only a
// disk that does not answer keeps it beyond ctx.
func (s *Store) Health(ctx context.Context) error { return s.fail("health", s.db.Health(ctx)) }

// Prepare does what must be written before the store is read, so that a full disk shows here
// (ErrFull), and not in the middle of a start.
func (s *Store) Prepare(ctx context.Context) error {
	if err := s.Health(ctx); err != nil {
		return err
	}
	return s.fail("fold the log", s.askFold(ctx))
}

// Close waits for what is under way, writes the WAL back and lets the folder go. The store must not
// be used afterwards.
func (s *Store) Close() error {
	s.stop()
	s.maintained.Wait()
	if err := s.db.Close(context.Background()); err != nil {
		return fmt.Errorf("embedded store: close: %w", err)
	}
	return nil
}

// write runs fn in a transaction of its own. what says for whom, should it fail.
func (s *Store) write(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	if err := s.db.Write(ctx, fn); err != nil {
		return fmt.Errorf("embedded store: %s: %w", what, err)
	}
	return nil
}

// each calls fn for every row of a query, until it fails.
func (s *Store) each(ctx context.Context, fn func(rows *sql.Rows) error, query string, args ...any) error {
	return s.db.Each(ctx, fn, query, args...)
}

// fail is nil for nil.
func (s *Store) fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("embedded store: %s: %w", what, s.db.Explain(err))
}
