package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// header is what the file of every SQLite database begins with.
const header = "SQLite format 3\x00"

// Probe owns the existing folder at path for a moment, and changes nothing. ErrLocked when another
// process owns it; ErrDamaged when what is there is not a database.
func Probe(ctx context.Context, path string) error {
	folder, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := probeLock(ctx, folder); err != nil {
		return err
	}
	return probeHeader(filepath.Join(folder, FileName))
}

func probeLock(ctx context.Context, folder string) error {
	if _, err := os.Stat(filepath.Join(folder, lockName)); errors.Is(err, fs.ErrNotExist) {
		return nil // no server has been here; a lock file of ours might be one that it cannot open
	}
	l, err := acquire(ctx, folder)
	if err != nil {
		return err
	}
	return l.release()
}

// probeHeader leaves it to the server to read on.
func probeHeader(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := make([]byte, len(header))
	n, err := io.ReadFull(f, b)
	if errClose := f.Close(); errClose != nil {
		return errClose
	}
	switch {
	case errors.Is(err, io.EOF): // made, and nothing written yet
		return nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case string(b[:n]) != header:
		return fmt.Errorf("%s: %w", file, ErrDamaged)
	}
	return nil
}
