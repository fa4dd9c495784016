package query

import "github.com/millrace/millrace/internal/jsonscan"

// condition is a compiled Filter.
type condition struct {
	op       Op
	of       []condition
	field    []string
	literals []literal // one, or the values of a list
}

func compileFilter(f *Filter) condition {
	c := condition{op: f.Op, field: f.Field}
	for _, of := range f.Of {
		c.of = append(c.of, compileFilter(of))
	}
	switch f.Op {
	case And, Or, Not:
	case In:
		for e := range f.Value.Elements() {
			c.literals = append(c.literals, compileLiteral(e))
		}
	default:
		c.literals = []literal{compileLiteral(f.Value)}
	}
	return c
}

func (c *condition) matches(data jsonscan.Value) bool {
	switch c.op {
	case And:
		for i := range c.of {
			if !c.of[i].matches(data) {
				return false
			}
		}
		return true
	case Or:
		for i := range c.of {
			if c.of[i].matches(data) {
				return true
			}
		}
		return false
	case Not:
		return !c.of[0].matches(data)
	default:
		return c.compares(data.Lookup(c.field))
	}
}

func (c *condition) compares(v jsonscan.Value) bool {
	switch c.op {
	case Exists:
		return (v != nil) == c.literals[0].truth
	case Eq:
		return c.literals[0].equals(v)
	case Ne:
		return !c.literals[0].equals(v)
	case In:
		for i := range c.literals {
			if c.literals[i].equals(v) {
				return true
			}
		}
		return false
	default:
		// Of mismatched types nothing is above, below or at anything (views 5.1 [M]).
		order, ok := c.literals[0].order(v)
		return ok && c.op.holds(order)
	}
}

// holds reports whether an ordering operator accepts the order of a value and its literal.
func (op Op) holds(order int) bool {
	switch op {
	case Gt:
		return order > 0
	case Gte:
		return order >= 0
	case Lt:
		return order < 0
	default:
		return order <= 0
	}
}
