package owner

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/entity"
)

// Record is one entity, or the tombstone of one, as it is stored. A store takes App, Type,
// Key and Data as they come: the engine also stores what it has to remember of a type.
type Record struct {
	App, Type, Key string
	Data           []byte // immutable
	IsDeleted      bool
	Seq            entity.Seq
	Number         uint64
}

// Receipt remembers a batch by its idempotency key.
type Receipt struct {
	App, Key string
	Seq      entity.Seq
	Expires  time.Time
}

// Commit is what a store makes durable in one step. No key is in both Records and Forget.
type Commit struct {
	Records  []Record  // replace what is stored under the same app, type and key; later ones win
	Receipts []Receipt // likewise, by app and key
	Forget   []Record  // tombstones to remove: app, type and key
	Now      time.Time // receipts that have expired may go
}

// Store keeps entities over a restart and a kill. Implementations pass storetest.
type Store interface {
	// LoadEntities calls fn with everything stored, in any order, and with the receipts that
	// have not expired at now. The engine keeps the data of records.
	LoadEntities(ctx context.Context, now time.Time, record func(Record) error, receipt func(Receipt) error) error
	// CommitEntities returns when c is durable, all or nothing. One call at a time. It must
	// not keep the slices of c.
	CommitEntities(ctx context.Context, c *Commit) error
	// LoadRuns returns what SaveRuns was given last, in any order.
	LoadRuns(ctx context.Context) ([]entity.Run, error)
	// SaveRuns replaces all runs that are stored, at once or not at all. It returns when they
	// are durable.
	SaveRuns(ctx context.Context, runs []entity.Run) error
}
