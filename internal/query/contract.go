// Package query is the language of derived views: definitions as users write them, checked
// and compiled to plans. (Sketch of the contract; real files replace it.)
package query

import "github.com/millrace/millrace/internal/protocol"

// Definition is a derived view as it is declared (live-views 5.1, issue item 4).
type Definition struct {
	ID        string
	Source    string        // "X/list" or the id of another derived view
	Mode      protocol.Mode // default list; an aggregate's is state
	Filter    *Filter
	Sort      []Sort
	Limit     *int        // default window
	IsCapped  bool        // Limit also bounds what a client may take
	Keys      []string    // only these keys, when not empty
	Fields    []string    // top-level or dotted paths to keep; empty: all
	Aggregate []Aggregate // by output name; a view with aggregates has one row
}
type Filter struct{}
type Sort struct {
	Field []string // path
	Desc  bool
}
type Aggregate struct {
	Name, Op string
	Field    []string
}

// Error lists every problem of a definition, each with its path ("filter.and[1].op") and what to do.
type Error struct{ Problems []string }

func (e *Error) Error() string { panic("sketch") }

// Parse reads a definition from JSON and validates everything that can be judged without its source.
func Parse(text []byte) (*Definition, error) { panic("sketch") }

// AppendJSON appends the canonical form, which Parse reads back.
func (d *Definition) AppendJSON(dst []byte) []byte { panic("sketch") }

// Plan is a compiled definition; immutable, safe for concurrent use.
type Plan struct{}

func Compile(d *Definition) (*Plan, error) { panic("sketch") }

// Uses lists every path that filter, sort and aggregates read, so that a definition over a
// source that projects can be refused.
func (p *Plan) Uses() [][]string                     { panic("sketch") }
func (p *Plan) Matches(key string, data []byte) bool { panic("sketch") }

// SortKey of an entity; number is its change number, by which views without sort are ordered, newest first.
func (p *Plan) SortKey(data []byte, number uint64) SortKey { panic("sketch") }

// Project appends the projection of data to dst; data itself, aliased, when the plan keeps everything.
func (p *Plan) Project(data []byte) []byte { panic("sketch") }
func (p *Plan) NewTotals() *Totals         { panic("sketch") }

// SortKey orders as live-views 5.4 [M]: comparing Prefix, then Rest bytewise. Ties are the
// caller's: entity key ascending.
type SortKey struct {
	Prefix uint64
	Rest   string
}

func (k SortKey) Compare(other SortKey) int { panic("sketch") }

// Totals are the running aggregates of a view. Not safe for concurrent use.
type Totals struct{}

func (t *Totals) Add(data []byte)              { panic("sketch") }
func (t *Totals) Remove(data []byte)           { panic("sketch") } // of what was added before
func (t *Totals) AppendJSON(dst []byte) []byte { panic("sketch") } // one object: name -> value
