package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
)

// Health writes something small and waits until it is on the disk, after whatever is being
// written: what reads well may still refuse to be written to, or may be gone from the folder. Only a
// disk that does not answer keeps it beyond ctx.
func (db *DB) Health(ctx context.Context) error {
	err := db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO health (id, looked) VALUES (1, ?) ON CONFLICT DO UPDATE SET looked = excluded.looked",
			db.o.Now().UnixMilli())
		return err
	})
	if err == nil {
		db.Wrote(PageSize)
	}
	return err
}

// identity is a file as it was when it was opened.
type identity struct {
	path string
	info os.FileInfo
}

func identify(paths ...string) ([]identity, error) {
	files := make([]identity, len(paths))
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		files[i] = identity{path, info}
	}
	return files, nil
}

// look reports an open file that is not in its place.
func (db *DB) look() error {
	for _, f := range db.kept {
		info, err := os.Stat(f.path)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w; put it back, or stop Millrace and restore a backup", ErrMoved, err)
		case !os.SameFile(f.info, info):
			return fmt.Errorf("%w: %s is another file than the one that is open; put that back, or restart Millrace to use this one", ErrMoved, f.path)
		}
	}
	return nil
}
