package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// busyTimeout is how long SQLite itself waits for a lock that another program has: it cannot be
	// made to stop, so it is short.
	busyTimeout = 20 * time.Millisecond
	// callerTimeout is how long a caller waits for it where it has no earlier deadline: an
	// operator may look at the file with a tool.
	callerTimeout = 5 * time.Second
	busyPause     = 10 * time.Millisecond
)

// Patiently calls do until no other program keeps it from the lock that it needs, ctx ends or
// callerTimeout is over. Between two calls nothing is held, so other callers have their turn.
func Patiently(ctx context.Context, do func() error) error {
	err := do()
	if !isBusy(err) {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, callerTimeout)
	defer cancel()
	pause := time.NewTicker(busyPause)
	defer pause.Stop()
	for {
		select {
		case <-limited.Done():
			return err
		case <-pause.C:
		}
		switch next := do(); {
		case next == nil:
			return nil
		case ctx.Err() != nil: // next may say only that, err says what was waited for
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case !isBusy(next):
			return next
		}
	}
}

// isBusy reports whether err says that another program has a lock on the file.
func isBusy(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY
}
