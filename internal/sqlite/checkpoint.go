package sqlite

import (
	"context"
	"database/sql"
	"time"
)

// checkpointAt is the size of the WAL at which it is written back.
const checkpointAt = 8 << 20

// Wrote counts about how many bytes a commit has added to the WAL, which is written back when it
// is time.
func (db *DB) Wrote(size int64) {
	if db.unwritten.Add(size) < checkpointAt {
		return
	}
	select {
	case db.due <- struct{}{}:
	default: // it is about to be
	}
}

// Rewrote counts bytes that maintenance has written, and writes the WAL back itself when it is time:
// so maintenance does not outrun it.
func (db *DB) Rewrote(ctx context.Context, size int64) error {
	if db.unwritten.Add(size) < checkpointAt {
		return nil
	}
	return db.Checkpoint(ctx)
}

// writeBackWhenDue works until ctx ends.
func (db *DB) writeBackWhenDue(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.due:
		}
		if db.unwritten.Load() < checkpointAt {
			continue // maintenance was faster
		}
		db.Report(ctx, "checkpoint", db.Checkpoint(ctx)) // the next commit is the next try
	}
}

// Checkpoint writes the WAL back: first on a connection of its own, beside commits; then, on
// theirs, what they have added since. The next commit begins the WAL again.
func (db *DB) Checkpoint(ctx context.Context) error {
	select {
	case db.checkpoints <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-db.checkpoints }()
	start := time.Now()
	db.unwritten.Store(0)
	for _, c := range []*sql.DB{db.reader, db.writer} {
		var busy, frames, done int
		if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &done); err != nil {
			return err
		}
	}
	if db.o.Checkpointed != nil {
		db.o.Checkpointed(time.Since(start))
	}
	return nil
}
