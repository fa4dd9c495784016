package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
)

// Bounds of a filter, since it is evaluated for every change.
const (
	maxDepth   = 16
	maxFilters = 256  // conditions and combinations, all together
	maxLiteral = 4096 // bytes of the literal of a comparison
	maxIn      = 256  // literals of one list
)

// filter reads one condition; nil when there is no use in looking further.
func (p *parser) filter(path string, v jsonscan.Value, depth int) *Filter {
	p.filters++
	switch {
	case p.filters == maxFilters+1:
		p.fail("filter", "more than "+strconv.Itoa(maxFilters)+" conditions")
		return nil
	case p.filters > maxFilters:
		return nil
	case depth > maxDepth:
		p.fail(path, "nested more than "+strconv.Itoa(maxDepth)+" deep")
		return nil
	}
	m := p.members(path, v, "and", "or", "not", "field", "op", "value")
	if m == nil {
		return nil
	}
	forms := 0
	for _, name := range []Op{And, Or, Not} {
		if m[string(name)] != nil {
			forms++
		}
	}
	if m["field"] != nil || m["op"] != nil || m["value"] != nil {
		forms++
	}
	if forms != 1 {
		p.fail(path, "must have and, or, not, or a comparison of field, op and value; and only one of them")
		return nil
	}
	switch {
	case m["and"] != nil:
		return p.combination(path+".and", And, m["and"], depth)
	case m["or"] != nil:
		return p.combination(path+".or", Or, m["or"], depth)
	case m["not"] != nil:
		return &Filter{Op: Not, Of: []*Filter{p.filter(path+".not", m["not"], depth+1)}}
	}
	return p.comparison(path, m)
}

func (p *parser) combination(path string, op Op, v jsonscan.Value, depth int) *Filter {
	f := &Filter{Op: op}
	for at, e := range p.elements(path, v, maxFilters) {
		f.Of = append(f.Of, p.filter(at, e, depth+1))
	}
	if len(f.Of) == 0 && v.Kind() == jsonscan.Array {
		p.fail(path, "empty; give conditions, or leave it out")
	}
	return f
}

func (p *parser) comparison(path string, m members) *Filter {
	f := &Filter{Field: p.path(path+".field", m["field"])}
	known := []Op{Eq, Ne, Gt, Gte, Lt, Lte, In, Exists}
	switch op := m["op"]; {
	case op == nil:
		p.fail(path+".op", "missing; use "+spell(known))
		return f
	case !slices.Contains(known, Op(op.Text())):
		p.failValue(path+".op", op, "unknown; use "+spell(known))
		return f
	default:
		f.Op = Op(op.Text())
	}
	v := m["value"]
	if v == nil && f.Op == Exists {
		v = jsonscan.Value("true")
	}
	p.operand(path+".value", f.Op, v)
	if v != nil {
		f.Value = v.Compact()
	}
	return f
}

// operand checks a literal against its operator.
func (p *parser) operand(path string, op Op, v jsonscan.Value) {
	if v == nil {
		p.fail(path, "missing; give what to compare with")
		return
	}
	switch kind := v.Kind(); op {
	case Exists:
		if kind != jsonscan.Bool {
			p.failValue(path, v, "must be true or false")
		}
		return
	case In:
		for at, e := range p.elements(path, v, maxIn) {
			p.literal(at, e)
		}
		return
	case Gt, Gte, Lt, Lte:
		if kind != jsonscan.Number && kind != jsonscan.String && kind != jsonscan.Bool {
			p.failValue(path, v, string(op)+" compares with a number, a string, true or false; nothing is above or below anything else")
			return
		}
	default:
	}
	p.literal(path, v)
}

func (p *parser) literal(path string, v jsonscan.Value) {
	if len(v) > maxLiteral {
		p.fail(path, "longer than "+strconv.Itoa(maxLiteral)+" bytes")
		return
	}
	p.unambiguous(path, v, 1)
}

// unambiguous checks that a literal means the same to every JSON reader, and bounds its depth.
func (p *parser) unambiguous(path string, v jsonscan.Value, depth int) {
	if depth > maxDepth {
		p.fail(path, "nested more than "+strconv.Itoa(maxDepth)+" deep")
		return
	}
	if v.Kind() == jsonscan.Array {
		for at, e := range p.elements(path, v, maxLiteral) {
			p.unambiguous(at, e, depth+1)
		}
		return
	}
	seen := map[string]bool{}
	for key, value := range v.Entries() {
		name := key.Text()
		if seen[name] {
			p.fail(path+"."+name, "given twice")
		}
		seen[name] = true
		p.unambiguous(path+"."+name, value, depth+1)
	}
}

func spell(ops []Op) string {
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = string(op)
	}
	return strings.Join(names, ", ")
}
