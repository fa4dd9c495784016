package app

import (
	"context"
	"errors"
	"time"
)

// What a Store answers when a change does not fit the stored app.
var (
	ErrConflict = errors.New("app: the app has changed meanwhile") // or it is there already, or not any more
	ErrKeyTaken = errors.New("app: another app has the key")
)

// Record is an app as a Store keeps it.
type Record struct {
	ID       string
	Keys     []string // all keys of the app, its own first
	Document []byte   // one JSON object: what it means is the caller's
	Version  uint64   // 1 for a new app, and one more with each change
	Changed  time.Time
}

// Store keeps apps for the nodes that share it. Implementations pass storetest. Safe for
// concurrent use.
type Store interface {
	// LoadApps calls fn with every app, by id, as they are at one moment.
	LoadApps(ctx context.Context, fn func(Record) error) error
	// PutApp stores r in place of the version r.Version, 0 for a new app, and returns it with
	// the next version and the time: all or nothing. ErrConflict when another version is there,
	// ErrKeyTaken when another app has one of its keys.
	PutApp(ctx context.Context, r Record) (Record, error)
	// DeleteApp removes that version of an app, or answers ErrConflict; ErrNotFound when it is
	// not there at all.
	DeleteApp(ctx context.Context, id string, version uint64) error
	// WatchApps calls changed whenever apps may have been changed by another node, until ctx
	// ends. A store of one node only waits.
	WatchApps(ctx context.Context, changed func()) error
}
