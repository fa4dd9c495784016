package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/store/sqlstore"
)

// The zero values of Options mean these.
const (
	DefaultTimeout      = 5 * time.Second
	DefaultPollInterval = 30 * time.Second
)

// Options of a store. URL is required; other zero fields mean the default.
type Options struct {
	URL          string        // such as postgres://user:password@db.example/millrace
	Timeout      time.Duration // of one query, default DefaultTimeout
	PollInterval time.Duration // between two looks for changes, default DefaultPollInterval
	Log          *slog.Logger  // default none
	Metrics      *Metrics      // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.PollInterval <= 0 {
		o.PollInterval = DefaultPollInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Store is one database. Its methods are safe for concurrent use.
type Store struct {
	o    Options
	pool *pgxpool.Pool
	sql  *sqlstore.Queries

	loaded atomic.Int64 // the revision of the apps that were loaded last, or notLoaded
}

const notLoaded = -1

// Open connects to the database and makes the tables that are missing. ctx bounds the opening
// only. It fails with ErrTooNew on the tables of a newer version.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	config, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres store: %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = o.Timeout
	}
	s := &Store{o: o, sql: sqlstore.New(dialect())}
	s.loaded.Store(notLoaded)
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("postgres store: %w", err)
	}
	if err := s.ask(ctx, queryMigrate, "open", s.migrate); err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

// Close waits for what is under way. WatchApps must have returned. The store must not be used
// afterwards.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Health asks the database something small.
func (s *Store) Health(ctx context.Context) error {
	return s.ask(ctx, queryHealth, "health", func(ctx context.Context) error {
		_, err := appsRevision(ctx, s.pool)
		return err
	})
}

// queries is what a pool, a connection and a transaction have in common.
type queries interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// appsRevision reads the revision, which moves with every change of apps.
func appsRevision(ctx context.Context, q queries) (revision int64, err error) {
	err = q.QueryRow(ctx, "SELECT revision FROM millrace_revisions WHERE name = 'apps'").Scan(&revision)
	return revision, err
}

// ask calls fn with a deadline and counts it. what names the operation in its error.
func (s *Store) ask(ctx context.Context, kind queryKind, what string, fn func(ctx context.Context) error) error {
	started := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	err := fn(limited)
	s.o.Metrics.queries.WithLabelValues(string(kind)).Observe(time.Since(started).Seconds())
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		// The caller does not wait for an answer any more.
	case isAnswer(err):
		return fmt.Errorf("postgres store: %s: %w", what, err)
	default:
		s.o.Metrics.failures.WithLabelValues(string(kind)).Inc()
	}
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %s: %w", s.o.Timeout, err)
	}
	return fmt.Errorf("postgres store: %s: %w", what, explain(err))
}

// isAnswer reports whether the database did what it should, and the caller did not.
func isAnswer(err error) bool {
	return errors.Is(err, app.ErrConflict) || errors.Is(err, app.ErrKeyTaken) || errors.Is(err, app.ErrNotFound)
}
