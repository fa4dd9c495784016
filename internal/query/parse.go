package query

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Bounds of a definition.
const (
	maxText     = 256 << 10 // bytes of the whole
	maxID       = 200       // bytes of a view id
	maxKey      = 1024      // bytes of an entity key
	maxKeys     = 1000
	maxList     = 64 // parts of a sort, members of an aggregate
	maxFields   = 256
	maxSegments = 16   // names in a path
	maxPath     = 1024 // bytes of a path
	maxLimit    = 1<<31 - 1
)

const (
	ascending  = "asc"
	descending = "desc"
)

// Parse reads a definition from JSON and validates everything that can be judged without its
// source. The error is an *Error that lists every problem.
func Parse(text []byte) (*Definition, error) {
	if len(text) > maxText {
		return nil, &Error{[]string{"longer than " + strconv.Itoa(maxText) + " bytes"}}
	}
	v, ok := jsonscan.Parse(text)
	if !ok {
		return nil, &Error{[]string{"not JSON: " + whyNotJSON(text)}}
	}
	p := &parser{}
	d := p.definition(v)
	if len(p.problems) > 0 {
		return nil, &Error{p.problems}
	}
	return d, nil
}

// ParseMap is Parse for a definition that was read from another format, such as a table of
// TOML.
func ParseMap(members map[string]any) (*Definition, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(members); err != nil {
		return nil, &Error{[]string{"cannot be written as JSON: " + err.Error()}}
	}
	return Parse(b.Bytes())
}

// ParseMaps is ParseMap for each of a list, up to the first error.
func ParseMaps(list []map[string]any) ([]*Definition, error) {
	definitions := make([]*Definition, 0, len(list))
	for _, members := range list {
		d, err := ParseMap(members)
		if err != nil {
			return nil, err
		}
		definitions = append(definitions, d)
	}
	return definitions, nil
}

func whyNotJSON(text []byte) string {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err.Error()
	}
	return "not UTF-8"
}

// parser collects the problems of one definition.
type parser struct {
	problems []string
	filters  int // seen so far
}

func (p *parser) definition(v jsonscan.Value) *Definition {
	m := p.members("", v, "id", "source", "mode", "access", "filter", "sort", "limit", "cap", "keys", "fields", "aggregate")
	if m == nil {
		return nil
	}
	m.dropNulls()
	d := &Definition{
		ID:        p.id("id", m["id"]),
		Source:    p.id("source", m["source"]),
		Access:    p.access(m["access"]),
		Sort:      p.sort(m["sort"]),
		Limit:     p.limit(m["limit"]),
		IsCapped:  p.truth("cap", m["cap"]),
		Keys:      p.keys(m["keys"]),
		Fields:    p.fields(m["fields"]),
		Aggregate: p.aggregates(m["aggregate"]),
	}
	if f := m["filter"]; f != nil {
		d.Filter = p.filter("filter", f, 1)
	}
	p.identity(d)
	d.Mode = p.mode(m)
	p.exclusions(m)
	if d.IsCapped && m["limit"] == nil {
		p.fail("cap", "there is nothing to cap; give a limit")
	}
	return d
}

// identity checks what id and source say of each other. X/list, X/state and X/append exist
// by themselves (views 5.1).
func (p *parser) identity(d *Definition) {
	if base := baseSuffix(d.ID); base != "" {
		p.fail("id", "ids that end in "+base+" are those of base views; choose another name")
	}
	if base := baseSuffix(d.Source); base == "/state" || base == "/append" {
		p.fail("source", "derive from "+strings.TrimSuffix(d.Source, base)+"/list, which holds the same entities")
	}
	if d.ID != "" && d.ID == d.Source {
		p.fail("source", "a view cannot be derived from itself")
	}
}

func baseSuffix(id string) string {
	for _, s := range []string{"/list", "/state", "/append"} {
		if strings.HasSuffix(id, s) {
			return s
		}
	}
	return ""
}

func (p *parser) mode(m members) protocol.Mode {
	v, isAggregate := m["mode"], m["aggregate"] != nil
	mode := protocol.Mode(v.Text())
	switch {
	case v == nil && isAggregate:
		return protocol.ModeState
	case v == nil:
		return protocol.ModeList
	case mode != protocol.ModeList && mode != protocol.ModeState:
		p.failValue("mode", v, "unknown; use list or state")
	case isAggregate && mode != protocol.ModeState:
		p.failValue("mode", v, "an aggregate is one row; use state, or leave it out")
	}
	return mode
}

// access is access.Token unless said otherwise. What means nothing is for the server alone.
func (p *parser) access(v jsonscan.Value) access.Level {
	if v == nil {
		return access.Token
	}
	level, ok := access.Parse(v.Text())
	if !ok {
		p.failValue("access", v, "unknown; use "+access.Names)
		return access.Server
	}
	return level
}

// exclusions checks what an aggregate excludes: one row has no order, no window, and the members that it was given.
func (p *parser) exclusions(m members) {
	if m["aggregate"] == nil {
		return
	}
	for _, name := range []string{"sort", "limit", "cap", "fields"} {
		if m[name] != nil {
			p.fail(name, "means nothing for an aggregate, which is one row; leave it out")
		}
	}
}

func (p *parser) id(path string, v jsonscan.Value) string {
	if v == nil {
		p.fail(path, "missing")
		return ""
	}
	s, ok := p.text(path, v)
	switch {
	case !ok:
	case s == "":
		p.fail(path, "empty")
	case len(s) > maxID:
		p.failValue(path, v, "longer than "+strconv.Itoa(maxID)+" bytes")
	case strings.ContainsFunc(s, unicode.IsControl):
		p.failValue(path, v, "has control characters")
	}
	return s
}

func (p *parser) sort(v jsonscan.Value) []Sort {
	var sorts []Sort
	for path, e := range p.elements("sort", v, maxList) {
		m := p.members(path, e, "field", "order")
		if m == nil {
			continue
		}
		m.dropNulls()
		s := Sort{Field: p.path(path+".field", m["field"])}
		if o := m["order"]; o != nil {
			s.Desc = o.Means(descending)
			if !s.Desc && !o.Means(ascending) {
				p.failValue(path+".order", o, "unknown; use asc or desc")
			}
		}
		sorts = append(sorts, s)
	}
	return sorts
}

func (p *parser) limit(v jsonscan.Value) *int {
	if v == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 || n > maxLimit {
		p.failValue("limit", v, "must be a whole number from 0 to "+strconv.Itoa(maxLimit))
		return nil
	}
	limit := int(n)
	return &limit
}

func (p *parser) keys(v jsonscan.Value) []string {
	var keys []string
	seen := map[string]bool{}
	for path, e := range p.elements("keys", v, maxKeys) {
		s, ok := p.text(path, e)
		switch {
		case !ok:
		case len(s) > maxKey:
			p.failValue(path, e, "longer than "+strconv.Itoa(maxKey)+" bytes")
		case seen[s]:
			p.failValue(path, e, "listed twice")
		}
		seen[s] = true
		keys = append(keys, s)
	}
	return keys
}

func (p *parser) fields(v jsonscan.Value) []string {
	var fields []string
	for path, e := range p.elements("fields", v, maxFields) {
		field := strings.Join(p.path(path, e), ".")
		if field != "" && slices.Contains(fields, field) {
			p.failValue(path, e, "listed twice")
		}
		fields = append(fields, field)
	}
	return fields
}

func (p *parser) aggregates(v jsonscan.Value) []Aggregate {
	if v == nil {
		return nil
	}
	if v.Kind() != jsonscan.Object {
		p.failValue("aggregate", v, `must be an object, such as {"total":{"op":"sum","field":"price"}}`)
		return nil
	}
	var all []Aggregate
	seen := map[string]bool{}
	for key, e := range v.Entries() {
		name := key.Text()
		path := "aggregate." + name
		if name == "" || strings.ContainsFunc(name, unicode.IsControl) {
			p.failValue("aggregate", key, "a name must not be empty or have control characters")
		}
		if seen[name] {
			p.fail(path, "given twice")
		}
		seen[name] = true
		all = append(all, p.aggregate(path, name, e))
	}
	if len(all) == 0 || len(all) > maxList {
		p.fail("aggregate", "must have 1 to "+strconv.Itoa(maxList)+" members")
	}
	return all
}

func (p *parser) aggregate(path, name string, v jsonscan.Value) Aggregate {
	a := Aggregate{Name: name}
	m := p.members(path, v, "op", "field")
	if m == nil {
		return a
	}
	m.dropNulls()
	known := []string{Count, Sum, Min, Max, Avg}
	switch op := m["op"]; {
	case op == nil:
		p.fail(path+".op", "missing; use "+strings.Join(known, ", "))
	case !slices.Contains(known, op.Text()):
		p.failValue(path+".op", op, "unknown; "+suggest(op.Text(), known))
	default:
		a.Op = op.Text()
	}
	if m["field"] != nil || a.Op != Count {
		a.Field = p.path(path+".field", m["field"])
	}
	return a
}
