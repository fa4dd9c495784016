package query

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Definition is a derived view as it is declared (views 5.1).
type Definition struct {
	ID        string
	Source    string        // "X/list", or the id of another derived view
	Mode      protocol.Mode // list or state; an aggregate's is state
	Access    access.Level  // who may read it, apart from who may read the source; zero: access.Token
	Filter    *Filter       // nil: everything
	Sort      []Sort        // empty: latest change first
	Limit     *int          // window of subscribers that ask for none; nil: nothing is said
	IsCapped  bool          // Limit also bounds what a subscriber may take
	Keys      []string      // only entities with these keys; empty: all
	Fields    []string      // dotted paths to keep; empty: everything
	Aggregate []Aggregate   // not empty: the view is one row, of these members
}

// Filter is one condition: a combination of others, or a comparison of the value at a path
// with a literal. A missing value counts as null.
type Filter struct {
	Op    Op
	Of    []*Filter      // And, Or: at least one; Not: one
	Field []string       // of a comparison
	Value jsonscan.Value // of a comparison, compact; In: an array; Exists: true or false; nil is null
}

// Op says what a Filter does, as definitions spell it.
type Op string

// Values are equal as JSON, with numbers by value and objects in any order. Two numbers, two strings
// (bytewise) or two booleans have an order; any other pair is neither above, below nor at each other
// (views 5.1 [M]).
const (
	And    Op = "and"
	Or     Op = "or"
	Not    Op = "not"
	Eq     Op = "eq"
	Ne     Op = "ne"
	Gt     Op = "gt"
	Gte    Op = "gte"
	Lt     Op = "lt"
	Lte    Op = "lte"
	In     Op = "in"     // equal to one of a list
	Exists Op = "exists" // the path is there, even with null
)

// Sort is one part of an order.
type Sort struct {
	Field []string // path
	Desc  bool
}

// Aggregate is one member of the row of an aggregate.
type Aggregate struct {
	Name  string
	Op    string   // count, sum, min, max or avg
	Field []string // path; only count does without
}

// The aggregates, as definitions spell them.
const (
	Count = "count" // of the rows, or of those in which the field is neither missing nor null
	Sum   = "sum"   // of numbers; zero without any
	Min   = "min"   // of numbers and strings, numbers first; null without any
	Max   = "max"   // likewise
	Avg   = "avg"   // of numbers; null without any
)

// AppendJSON appends the canonical form, which Parse reads back.
func (d *Definition) AppendJSON(dst []byte) []byte {
	dst = appendMember(dst, '{', "id", d.ID)
	dst = appendMember(dst, ',', "source", d.Source)
	dst = appendMember(dst, ',', "mode", string(d.Mode))
	if d.Access != 0 && d.Access != access.Token {
		dst = appendMember(dst, ',', "access", d.Access.String())
	}
	if d.Filter != nil {
		dst = append(dst, `,"filter":`...)
		dst = d.Filter.appendJSON(dst)
	}
	for i, s := range d.Sort {
		dst = appendSort(dst, i, s)
	}
	if len(d.Sort) > 0 {
		dst = append(dst, ']')
	}
	if d.Limit != nil {
		dst = append(dst, `,"limit":`...)
		dst = strconv.AppendInt(dst, int64(*d.Limit), 10)
	}
	if d.IsCapped {
		dst = append(dst, `,"cap":true`...)
	}
	dst = appendStrings(dst, "keys", d.Keys)
	dst = appendStrings(dst, "fields", d.Fields)
	for i, a := range d.Aggregate {
		dst = appendAggregate(dst, i, a)
	}
	if len(d.Aggregate) > 0 {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func (f *Filter) appendJSON(dst []byte) []byte {
	switch f.Op {
	case And, Or:
		dst = append(append(append(dst, `{"`...), f.Op...), `":[`...)
		for i, of := range f.Of {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = of.appendJSON(dst)
		}
		return append(dst, `]}`...)
	case Not:
		dst = append(dst, `{"not":`...)
		for _, of := range f.Of {
			dst = of.appendJSON(dst)
		}
		return append(dst, '}')
	default:
		return f.appendComparison(dst)
	}
}

func (f *Filter) appendComparison(dst []byte) []byte {
	dst = appendMember(dst, '{', "field", strings.Join(f.Field, "."))
	dst = appendMember(dst, ',', "op", string(f.Op))
	dst = append(dst, `,"value":`...)
	if f.Value == nil {
		return append(dst, "null}"...)
	}
	return append(append(dst, f.Value...), '}')
}

func appendSort(dst []byte, i int, s Sort) []byte {
	if i == 0 {
		dst = append(dst, `,"sort":[`...)
	} else {
		dst = append(dst, ',')
	}
	dst = appendMember(dst, '{', "field", strings.Join(s.Field, "."))
	order := ascending
	if s.Desc {
		order = descending
	}
	dst = appendMember(dst, ',', "order", order)
	return append(dst, '}')
}

func appendAggregate(dst []byte, i int, a Aggregate) []byte {
	if i == 0 {
		dst = append(dst, `,"aggregate":{`...)
	} else {
		dst = append(dst, ',')
	}
	dst = jsonscan.AppendString(dst, a.Name)
	dst = append(dst, ':')
	dst = appendMember(dst, '{', "op", a.Op)
	if len(a.Field) > 0 {
		dst = appendMember(dst, ',', "field", strings.Join(a.Field, "."))
	}
	return append(dst, '}')
}

func appendMember(dst []byte, before byte, name, value string) []byte {
	dst = append(dst, before, '"')
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return jsonscan.AppendString(dst, value)
}

func appendStrings(dst []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":[`...)
	for i, s := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, s)
	}
	return append(dst, ']')
}
