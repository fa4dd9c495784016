package log

import (
	"context"
	"io"
)

// Copier gives away all that is stored at one moment, for a node that is empty or too far behind, and for
// backups. Its methods are safe for concurrent use.
type Copier interface {
	// Copy makes a copy while appends and reads go on. It has everything that was acknowledged when Copy
	// was called, each group whole or not at all, and stream ids and serials as they are.
	//
	// A log that is opened where a copy was installed goes on behind it, in a later term than the
	// copy's. What is installed takes the place of everything before; until it is whole and durable the
	// log before is there.
	Copy(ctx context.Context) (*Copy, error)
}

// Copy is a stream. The caller reads it to its end and closes it.
type Copy struct {
	io.ReadCloser
	// Index is the last entry that the copy has for certain. It may have later ones, so who reads
	// on from Index skips the entries that the fold has.
	Index Index
	Size  int64 // bytes
}
