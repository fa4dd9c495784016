package sqlite

import (
	"errors"
	"fmt"
	"syscall"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrLocked: another process, or another store of this one, has the folder.
	ErrLocked = errors.New("another process is using this data folder")
	// ErrDamaged: the file is not a database, or no longer a sound one.
	ErrDamaged = errors.New("the database file is damaged")
	// ErrFull: there is no room on the disk.
	ErrFull = errors.New("the disk is full")
	// ErrMoved: the files that are open are not in the folder any more.
	ErrMoved = errors.New("the data folder was removed or replaced while Millrace runs")
	// ErrCommit: the disk has refused the end of a transaction. Until the process ends, its changes are
	// not there; whether they are after a kill is not known.
	ErrCommit = errors.New("the disk refuses to commit")
	// ErrTooNew: a newer version of Millrace has written the file.
	ErrTooNew = errors.New("the database file was written by a newer version of Millrace")
)

// Explain adds what an operator can do about an error of SQLite. It is nil for nil.
func (db *DB) Explain(err error) error {
	if err == nil {
		return nil
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return full(err)
	}
	if wantsRoom(e) {
		return fmt.Errorf("%s: %w (%w); make room on the disk", db.file, ErrFull, err)
	}
	switch e.Code() & 0xff { // the rest tells variants apart
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: %w (%w); restore it from a backup, or move it away, with the -wal and -shm files beside it, to start empty", db.file, ErrDamaged, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s: %w; check who owns the folder and that it can be written", db.file, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: %w; something outside Millrace is writing to it", db.file, err)
	default:
		return err
	}
}

// wantsRoom reports whether e says that the disk is full: not all steps of opening a database say
// so in the same words.
func wantsRoom(e *driver.Error) bool {
	switch e.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE:
		return true
	default:
		return false
	}
}

// full adds ErrFull to an error of the system that means it.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
