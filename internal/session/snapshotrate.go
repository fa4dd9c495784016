package session

import (
	"time"

	"github.com/millrace/millrace/internal/limit"
)

// SnapshotRate is how many rows and bytes of snapshots one connection gets in a second, whichever
// protocol it speaks; further ones wait. Zero is unlimited.
type SnapshotRate struct {
	Rows  int
	Bytes int64
}

// Takes is how long a frame of a snapshot takes. One without rows is work, too.
func (r SnapshotRate) Takes(rows, bytes int) time.Duration {
	return max(limit.Takes(int64(max(rows, 1)), int64(r.Rows)), limit.Takes(int64(bytes), r.Bytes))
}
