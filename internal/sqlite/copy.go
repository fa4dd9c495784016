package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Names of unfinished files in the folder: they begin so, and Open and Install remove what a process that
// was killed has left of them.
const (
	copyPrefix    = FileName + ".copy-"
	installPrefix = FileName + ".install-"
)

// Copy is the whole database as it is at one moment between the call and the return, in a file that is in no
// folder: its room is free again when it is closed. Reads and writes go on beside it; the write-ahead
// log grows with what they add until it is done. It takes as much room on the disk as the database.
func (db *DB) Copy(ctx context.Context) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(db.file), copyPrefix)
	if err != nil {
		return nil, full(err)
	}
	err = db.copyInto(ctx, f.Name())
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// copyInto copies on a connection of its own: a long reading keeps others waiting for theirs.
func (db *DB) copyInto(ctx context.Context, path string) error {
	if err := db.look(); err != nil {
		return err
	}
	own, err := connect(db.file, 1)
	if err != nil {
		return err
	}
	err = Patiently(ctx, func() error {
		_, err := own.ExecContext(ctx, "VACUUM INTO ?", path)
		return err
	})
	return errors.Join(db.Explain(err), own.Close())
}

// Install puts a copy in the place of the database in a folder, which is made if it is missing. No
// process may have the folder open. Until it returns nil the database before is there, whole; after a kill
// one of the two is. What it refuses is never in the folder: ErrDamaged when it is not a whole
// database, ErrTooNew.
func Install(ctx context.Context, path string, r io.Reader) error {
	folder, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return full(err)
	}
	l, err := acquire(ctx, folder)
	if err != nil {
		return err
	}
	return errors.Join(install(ctx, folder, r), l.release())
}

func install(ctx context.Context, folder string, r io.Reader) error {
	if err := removeUnfinished(folder); err != nil {
		return err
	}
	from, err := receive(folder, r)
	if err == nil {
		err = examine(ctx, from)
	}
	file := filepath.Join(folder, FileName)
	if err == nil {
		err = settle(ctx, file)
	}
	if err == nil {
		err = os.Rename(from, file)
	}
	if err != nil {
		return errors.Join(err, removeUnfinished(folder))
	}
	return syncFolder(folder)
}

// receive writes a copy to a file that is on the disk when it returns.
func receive(folder string, r io.Reader) (path string, err error) {
	f, err := os.CreateTemp(folder, installPrefix)
	if err != nil {
		return "", full(err)
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), full(errors.Join(err, f.Close()))
}

// examine reads the whole file.
func examine(ctx context.Context, file string) error {
	if err := probeHeader(file); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dataSource(file, url.Values{"mode": {"ro"}}))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it only reads
	var found string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("the copy: %w (%w); take another copy", ErrDamaged, err)
	case found != "ok":
		return fmt.Errorf("the copy: %w (%s); take another copy", ErrDamaged, found)
	}
	version, err := schemaVersion(ctx, db)
	if err == nil && version == 0 {
		return fmt.Errorf("the copy: %w: it has no tables of Millrace; take another copy", ErrDamaged)
	}
	return err
}

// settle brings what is in the write-ahead log of a database into its file: another file could not
// take its place otherwise.
func settle(ctx context.Context, file string) error {
	_, err := os.Stat(file)
	if err == nil {
		err = writeBack(ctx, file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if left, err := os.Stat(file + "-wal"); err == nil && left.Size() > 0 {
		return fmt.Errorf("%s-wal is of a database that is gone, or another program has it open; move it away, or end that program", file)
	}
	return nil
}

func writeBack(ctx context.Context, file string) error {
	if err := probeHeader(file); err != nil {
		return fmt.Errorf("%w; move it away, with the -wal and -shm files beside it", err)
	}
	db, err := connect(file, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return (&DB{file: file}).Explain(errors.Join(err, db.Close()))
}

func removeUnfinished(folder string) error {
	for _, prefix := range []string{copyPrefix, installPrefix} {
		left, err := filepath.Glob(filepath.Join(folder, prefix+"*"))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
