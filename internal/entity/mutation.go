package entity

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Errors of Apply.
var (
	ErrClosed       = errors.New("entity: the engine has ended")
	ErrNotStored    = errors.New("entity: the mutations cannot be stored") // beside the store's error, which the engine has logged
	ErrBackpressure = errors.New("entity: too many mutations wait; try again later")
)

// Error says what is wrong with one mutation of a batch, in words for the one who sent it.
// The batch has changed nothing.
type Error struct {
	Index   int // of the mutation; -1 for the batch as a whole
	Message string
}

func (e *Error) Error() string { return e.Message }

// Op is what a mutation does.
type Op uint8

// The operations of mutations.
const (
	OpPatch Op = iota
	OpUpsert
	OpDelete

	numOps = iota
)

// Mutation is one change that somebody asks for.
type Mutation struct {
	Type   string // entity type
	Key    string // may be empty
	Op     Op
	Data   []byte   // a JSON object; ignored by OpDelete
	Append []string // OpPatch: dotted paths of arrays to append to; must not be changed any more
}

// Batch is applied whole or not at all. All its mutations share one Seq.
type Batch struct {
	App            string
	Mutations      []Mutation
	IdempotencyKey string // empty: none
}

// Bounds of names that are not options: they end up in keys of stores and in view ids.
const (
	maxTypeName       = 200
	maxIdempotencyKey = 200
	maxAppends        = 100 // paths of one mutation: each is compared at each member
)

// CheckType says in words what is wrong with the name of an entity type; empty if nothing.
func CheckType(name string) string {
	switch {
	case name == "":
		return "the entity type has no name"
	case len(name) > maxTypeName:
		return fmt.Sprintf("the name of the entity type is longer than %d bytes", maxTypeName)
	case !utf8.ValidString(name):
		return "the name of the entity type is not UTF-8"
	}
	for _, r := range name {
		if r == '/' || r < ' ' || r >= 0x7f && r < 0xa0 {
			return "the name of the entity type has a slash or a control character"
		}
	}
	return ""
}

// check says what is wrong with m, apart from its data; empty if nothing.
func (o *Options) check(m *Mutation) string {
	if problem := CheckType(m.Type); problem != "" {
		return problem
	}
	switch {
	case len(m.Key) > o.MaxKey:
		return fmt.Sprintf("the key is longer than %d bytes", o.MaxKey)
	case !utf8.ValidString(m.Key):
		return "the key is not UTF-8"
	case m.Op >= numOps:
		return "the operation is unknown"
	case len(m.Append) > maxAppends:
		return fmt.Sprintf("more than %d append paths", maxAppends)
	}
	return ""
}

// checkBatch looks at what concerns the batch as a whole.
func (o *Options) checkBatch(b *Batch) error {
	size := 0
	for i := range b.Mutations {
		size += len(b.Mutations[i].Data) + len(b.Mutations[i].Key) + mutationCost
	}
	var problem string
	switch {
	case len(b.Mutations) == 0:
		problem = "the batch has no mutations"
	case len(b.Mutations) > o.MaxBatch:
		problem = fmt.Sprintf("the batch has more than %d mutations", o.MaxBatch)
	case size > o.MaxWaiting:
		problem = fmt.Sprintf("the batch is larger than %d bytes", o.MaxWaiting)
	case len(b.IdempotencyKey) > maxIdempotencyKey:
		problem = fmt.Sprintf("the idempotency key is longer than %d bytes", maxIdempotencyKey)
	case !utf8.ValidString(b.IdempotencyKey):
		problem = "the idempotency key is not UTF-8"
	default:
		return nil
	}
	return &Error{Index: -1, Message: problem}
}
