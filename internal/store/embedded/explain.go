package embedded

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrLocked: another process, or another store of this one, has the folder.
	ErrLocked = errors.New("another process is using this data folder")
	// ErrDamaged: the file is not a database, or no longer a sound one.
	ErrDamaged = errors.New("the database file is damaged")
	// ErrTooNew: a newer version of Millrace has written the file.
	ErrTooNew = errors.New("the database file was written by a newer version of Millrace")
)

// explain adds what an operator can do about an error of SQLite.
func (s *Store) explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest tells variants apart
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: %w (%w); restore it from a backup, or move it away, with the -wal and -shm files beside it, to start empty", s.file, ErrDamaged, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w; make room on the disk", s.file, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s: %w; check who owns the folder and that it can be written", s.file, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: %w; something outside Millrace is writing to it", s.file, err)
	default:
		return err
	}
}
