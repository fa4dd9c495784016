package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const lockName = "millrace.lock"

// lock keeps other processes out of a folder: an exclusive transaction on an empty database
// that has no other use. The kernel ends it with the process, however that ends.
type lock struct{ db *sql.DB }

// acquire does not wait.
func acquire(ctx context.Context, folder string) (*lock, error) {
	file := filepath.Join(folder, lockName)
	if err := touch(file); err != nil {
		return nil, err
	}
	// With its journal in memory it writes nothing, so that a full disk does not keep it from opening.
	db, err := sql.Open("sqlite", dataSource(file, url.Values{"_pragma": {"busy_timeout(0)", "journal_mode(memory)"}}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // the transaction belongs to a connection
	l := &lock{db}
	if _, err = db.ExecContext(ctx, "BEGIN EXCLUSIVE"); err == nil {
		return l, nil
	}
	e, ok := errors.AsType[*driver.Error](err)
	switch {
	case ok && e.Code()&0xff == sqlite3.SQLITE_BUSY:
		err = fmt.Errorf("%w; stop it, or give this one a folder of its own by store.path (MILLRACE_STORE_PATH)", ErrLocked)
	case ok && wantsRoom(e):
		err = fmt.Errorf("lock %s: %w (%w); make room on the disk", file, ErrFull, err)
	default:
		err = fmt.Errorf("lock %s: %w", file, err)
	}
	return nil, errors.Join(err, l.release())
}

func (l *lock) release() error { return l.db.Close() }
