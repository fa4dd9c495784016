package query

import (
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/ordered"
)

// Totals are the running aggregates of a view. They never drift: after Remove they are as if
// what was removed had never been added. Not safe for concurrent use.
type Totals struct {
	aggregates []Aggregate
	rows       int
	columns    []*column // one per field, shared by the aggregates of it
	of         []*column // by aggregate; nil for the count of rows
}

// column is what aggregates need of one field.
type column struct {
	field    []string
	present  int                    // rows with a value other than null
	sum      *sum                   // nil when the definition has no sum
	extremes *ordered.Tree[extreme] // likewise
}

// extreme is one value that rows have, and how many of them.
type extreme struct {
	key   SortKey
	text  string // as it is shown
	count int
}

// NewTotals makes the totals of no rows.
func (p *Plan) NewTotals() *Totals {
	t := &Totals{aggregates: p.definition.Aggregate}
	for _, a := range t.aggregates {
		c := t.column(a.Field)
		t.of = append(t.of, c)
		switch a.Op {
		case Sum, Avg:
			if c.sum == nil {
				c.sum = &sum{}
			}
		case Min, Max:
			if c.extremes == nil {
				c.extremes = ordered.New(func(a, b extreme) int { return a.key.Compare(b.key) })
			}
		}
	}
	return t
}

// column finds or makes the one of a field; nil for no field.
func (t *Totals) column(field []string) *column {
	if len(field) == 0 {
		return nil
	}
	for _, c := range t.columns {
		if slices.Equal(c.field, field) {
			return c
		}
	}
	c := &column{field: field}
	t.columns = append(t.columns, c)
	return c
}

// Add counts a row in.
func (t *Totals) Add(data []byte) { t.change(data, 1) }

// Remove counts a row out. It must have been added, with the same data.
func (t *Totals) Remove(data []byte) { t.change(data, -1) }

func (t *Totals) change(data []byte, sign int) {
	t.rows += sign
	for _, c := range t.columns {
		v := jsonscan.Value(data).Lookup(c.field)
		kind := v.Kind()
		if kind == jsonscan.Absent || kind == jsonscan.Null {
			continue
		}
		c.present += sign
		if c.sum != nil && kind == jsonscan.Number {
			c.sum.add(parseNumber(v), sign)
		}
		if c.extremes != nil && (kind == jsonscan.Number || kind == jsonscan.String) {
			c.changeExtremes(v, sign)
		}
	}
}

func (c *column) changeExtremes(v jsonscan.Value, sign int) {
	var buffer [64]byte
	prefix, rest := appendValue(buffer[:0], v, false, true)
	item := extreme{key: SortKey{prefix, string(rest)}}
	if rank, ok := c.extremes.Rank(item); ok {
		item = c.extremes.At(rank)
	} else {
		item.text = string(appendShown(nil, v))
	}
	if item.count += sign; item.count == 0 {
		c.extremes.Delete(item)
		return
	}
	c.extremes.Insert(item)
}

// appendShown appends a number or a string in one spelling for all that are equal.
func appendShown(dst []byte, v jsonscan.Value) []byte {
	if v.Kind() == jsonscan.Number {
		return parseNumber(v).append(dst)
	}
	return jsonscan.AppendString(dst, unquote(v))
}

// AppendJSON appends one object: the aggregates by name, in the order of the definition.
func (t *Totals) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, a := range t.aggregates {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, a.Name)
		dst = append(dst, ':')
		dst = t.appendAggregate(dst, a.Op, t.of[i])
	}
	return append(dst, '}')
}

func (t *Totals) appendAggregate(dst []byte, op string, c *column) []byte {
	switch {
	case c == nil:
		return appendCount(dst, t.rows)
	case op == Count:
		return appendCount(dst, c.present)
	case op == Sum:
		return c.sum.appendTotal(dst)
	case op == Avg:
		return c.sum.appendMean(dst)
	case c.extremes.Len() == 0:
		return append(dst, "null"...)
	case op == Min:
		return append(dst, c.extremes.At(0).text...)
	default:
		return append(dst, c.extremes.At(c.extremes.Len()-1).text...)
	}
}

func appendCount(dst []byte, n int) []byte {
	return appendDecimal(dst, false, strconv.AppendInt(nil, int64(n), 10), 0)
}
