package entity

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Errors of the owner, which applies batches. Nothing has changed.
var (
	ErrClosed       = errors.New("entity: the engine has ended")
	ErrNotStored    = errors.New("entity: the mutations cannot be stored") // beside the store's error, which the engine has logged
	ErrBackpressure = errors.New("entity: too many mutations wait; try again later")
)

// Error says what is wrong with one mutation of a batch, in words for its publisher.
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
)

// Mutation is one change that a publisher asks for.
type Mutation struct {
	Type     string // entity type
	Key      string // may be empty
	Op       Op
	IsParsed bool     // Data is a value of what package jsonscan has parsed: it is JSON
	Data     []byte   // a JSON object; ignored by OpDelete
	Append   []string // OpPatch: dotted paths of arrays to append to; must not be changed any more
}

// Batch is applied whole or not at all. All its mutations share one Seq.
type Batch struct {
	App            string
	Mutations      []Mutation
	IdempotencyKey string // empty: none
}

// maxTypeName bounds a name that ends up in keys of stores and in view ids.
const maxTypeName = 200

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

// DefaultMaxKey is how many bytes the key of an entity may have where nothing else is configured.
const DefaultMaxKey = 1024
