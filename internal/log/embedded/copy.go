package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/sqlite"
)

// Copy implements log.Copier. The copy is of the whole database file, with what other packages keep
// there.
func (l *Log) Copy(ctx context.Context) (*log.Copy, error) {
	index, _ := l.Committed()
	f, err := l.db.Copy(ctx)
	if err != nil {
		return nil, fmt.Errorf("embedded log: copy: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &log.Copy{ReadCloser: f, Index: index, Size: info.Size()}, nil
}

// Install puts a copy in the place of the database in a folder that no process has open. A kill leaves
// what was there before, or the copy.
func Install(ctx context.Context, folder string, r io.Reader) error {
	if err := sqlite.Install(ctx, folder, r); err != nil {
		return fmt.Errorf("embedded log: install a copy in %s: %w", folder, err)
	}
	return nil
}
