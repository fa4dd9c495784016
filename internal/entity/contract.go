// Package entity holds keyed state: JSON objects by app, type and key, the mutations that
// change them, and the order of those changes. (Sketch of the contract; real files replace it.)
package entity

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

var (
	ErrClosed       = errors.New("entity: the engine has ended")
	ErrBackpressure = errors.New("entity: too many mutations wait; try again later")
)

// Error says what is wrong with one mutation of a batch, in words for the one who sent it.
// The batch has changed nothing.
type Error struct {
	Index   int // of the mutation; -1 for the batch as a whole
	Message string
}

func (e *Error) Error() string { return e.Message }

// Seq is the cursor that entities carry as _seq (live-views 5.7): "<slot>:<index>", slot in
// Unix milliseconds, index of 12 digits. The zero Seq is before everything.
type Seq struct{ Slot, Index uint64 }

func ParseSeq(text string) Seq      { panic("sketch") } // lenient, as 5.7: missing parts are 0
func (s Seq) String() string        { panic("sketch") }
func (s Seq) Compare(other Seq) int { panic("sketch") }

type Op uint8

const (
	OpPatch Op = iota
	OpUpsert
	OpDelete
)

// Mutation is one change that somebody asks for.
type Mutation struct {
	Type   string // entity type
	Key    string
	Op     Op
	Data   []byte   // a JSON object; ignored by OpDelete
	Append []string // OpPatch: dotted paths of arrays to append to
}

// Batch is applied whole or not at all. All its mutations share one Seq.
type Batch struct {
	App            string
	Mutations      []Mutation
	IdempotencyKey string // empty: none
}

// Version is one immutable state of an entity.
type Version struct {
	Key    string
	Data   []byte // compact JSON object, with _seq; numbers as they were given
	Seq    Seq
	Number uint64 // change number within the type
}

// Wire is Data as clients get it: integers beyond 2^53-1 as strings (live-views 4.5). It is
// Data itself when there are none.
func (v *Version) Wire() []byte { panic("sketch") }

// Change is one applied mutation. Old and New are nil where the entity does not exist.
type Change struct {
	Op     Op
	Key    string
	Old    *Version
	New    *Version
	Patch  []byte   // OpPatch: the patch as clients get it: wire form, with _seq
	Append []string // OpPatch
	Seq    Seq
	Number uint64
}

// Tombstone remembers a deleted entity.
type Tombstone struct {
	Key    string
	Seq    Seq
	Number uint64
}

// Type is all entities of one type of one app. Its lock orders everything that happens to
// the type, views included: the applier holds it exclusively while it installs a group of
// changes and tells the receiver; whoever joins a topic of the type holds it too, so that
// nothing is published between reading the state and subscribing.
// Methods with the suffix Locked need at least RLock.
type Type struct {
	sync.RWMutex
	App, Name string
}

func (t *Type) LenLocked() int                { panic("sketch") }
func (t *Type) GetLocked(key string) *Version { panic("sketch") }

// LastLocked is the last change that is in the state.
func (t *Type) LastLocked() (Seq, uint64) { panic("sketch") }

// AfterLocked appends up to n live versions with a greater number, in ascending order of number.
func (t *Type) AfterLocked(dst []*Version, number uint64, n int) []*Version { panic("sketch") }

// BeforeLocked appends up to n live versions with a smaller number, in descending order.
func (t *Type) BeforeLocked(dst []*Version, number uint64, n int) []*Version { panic("sketch") }

// CountAfterLocked is how many live versions have a greater number.
func (t *Type) CountAfterLocked(number uint64) int { panic("sketch") }

// NumberAtLocked is the number N such that exactly the changes of live versions and
// tombstones with Seq <= seq have a number <= N.
func (t *Type) NumberAtLocked(seq Seq) uint64 { panic("sketch") }

// DeletedAfterLocked appends tombstones with a greater number, ascending, up to n.
func (t *Type) DeletedAfterLocked(dst []Tombstone, number uint64, n int) []Tombstone { panic("sketch") }

// ForgottenLocked is the number up to which tombstones may have been forgotten: whoever has
// seen less cannot be told of every deletion. Zero: none was ever forgotten.
func (t *Type) ForgottenLocked() uint64 { panic("sketch") }

// Receiver is told of changes, with the type locked exclusively, in the order of their
// numbers, after they are stored. It must not block.
type Receiver interface {
	Changed(t *Type, changes []Change)
}

// Record is one entity, or the tombstone of one, as it is stored.
type Record struct {
	App, Type, Key string
	Data           []byte
	IsDeleted      bool
	Seq            Seq
	Number         uint64
}

// Receipt remembers a batch by its idempotency key.
type Receipt struct {
	App, Key string
	Seq      Seq
	Expires  time.Time
}

// Commit is what a store makes durable in one step.
type Commit struct {
	Records  []Record  // replace what is stored under the same app, type and key; later ones win
	Receipts []Receipt // likewise, by app and key
	Forget   []Record  // tombstones to remove: app, type and key
	Now      time.Time // receipts that have expired may go
}

// Store keeps entities over a restart and a kill. Implementations pass storetest.
type Store interface {
	// LoadEntities calls fn with everything stored, in any order, and with the receipts that have not expired at now.
	LoadEntities(ctx context.Context, now time.Time, record func(Record) error, receipt func(Receipt) error) error
	// CommitEntities returns when c is durable, all or nothing. One call at a time.
	CommitEntities(ctx context.Context, c *Commit) error
}

type Options struct {
	Store         Store // may be nil: memory only
	Now           func() time.Time
	MaxArray      int           // elements kept of an array in an entity, the newest; default 100 (live-views 5.6)
	MaxDepth      int           // nesting of data; default 64
	MaxSize       int           // bytes of an entity; default 1 MiB
	MaxKey        int           // bytes of a key; default 1024
	MaxBatch      int           // mutations of a batch; default 1000
	MaxWaiting    int           // bytes of data that wait to be applied; default 16 MiB, beyond: ErrBackpressure
	MaxTombstones int           // per type; default 10000
	ReceiptTTL    time.Duration // default 24 h
	Log           *slog.Logger
	Metrics       *Metrics
}
type Metrics struct{}

// Engine applies batches in one order.
type Engine struct{}

func New(o Options) *Engine { panic("sketch") }

// Load reads the store; once, before Run.
func (e *Engine) Load(ctx context.Context) error { panic("sketch") }

// Run applies until ctx ends, then what waits. r is told of every change.
func (e *Engine) Run(ctx context.Context, r Receiver) error { panic("sketch") }

// Apply returns when the batch is stored and its changes have been handed to the receiver.
// Errors: *Error, ErrBackpressure, ErrClosed, ctx's, or the store's: then nothing was changed.
func (e *Engine) Apply(ctx context.Context, b *Batch) (Seq, error) { panic("sketch") }

// Declare finds or makes a type.
func (e *Engine) Declare(app, name string) *Type { panic("sketch") }

// Find is nil for a type that nobody has declared and that has never had an entity.
func (e *Engine) Find(app, name string) *Type { panic("sketch") }
func (e *Engine) Types(app string) []*Type    { panic("sketch") } // by name
