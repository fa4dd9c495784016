package query

import (
	"slices"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Plan is a compiled definition; immutable, safe for concurrent use.
type Plan struct {
	definition *Definition
	filter     *condition // nil: everything
	keys       map[string]struct{}
	fields     *projection // nil: everything
}

// Compile checks d as Parse does, even if Parse made it, and compiles it. The plan keeps nothing
// of d.
func Compile(d *Definition) (*Plan, error) {
	d, err := Parse(d.AppendJSON(nil))
	if err != nil {
		return nil, err
	}
	p := &Plan{definition: d}
	if d.Filter != nil {
		c := compileFilter(d.Filter)
		p.filter = &c
	}
	if len(d.Keys) > 0 {
		p.keys = make(map[string]struct{}, len(d.Keys))
		for _, key := range d.Keys {
			p.keys[key] = struct{}{}
		}
	}
	if len(d.Fields) > 0 {
		p.fields = compileProjection(d.Fields)
	}
	return p, nil
}

// Definition is what was compiled, in canonical form; not to be changed.
func (p *Plan) Definition() *Definition { return p.definition }

// ID is the view's.
func (p *Plan) ID() string { return p.definition.ID }

// Source is the id of the view that the entities come from.
func (p *Plan) Source() string { return p.definition.Source }

// Access is who may read the view.
func (p *Plan) Access() access.Level { return p.definition.Access }

// Mode is what frames of the view carry.
func (p *Plan) Mode() protocol.Mode { return p.definition.Mode }

// IsFiltered reports whether Matches can be false.
func (p *Plan) IsFiltered() bool { return p.filter != nil || p.keys != nil }

// IsSorted reports whether the definition sorts; otherwise the latest change is first.
func (p *Plan) IsSorted() bool { return len(p.definition.Sort) > 0 }

// SortPath and the direction of the first part of the order, which is all that clients are
// told (views 4.1); nil without a sort.
func (p *Plan) SortPath() (path []string, desc bool) {
	if !p.IsSorted() {
		return nil, false
	}
	return p.definition.Sort[0].Field, p.definition.Sort[0].Desc
}

// Limit is the window of subscribers that ask for none; false when nothing is said of it.
func (p *Plan) Limit() (int, bool) {
	if p.definition.Limit == nil {
		return 0, false
	}
	return *p.definition.Limit, true
}

// IsCapped reports whether Limit also bounds what a subscriber may take.
func (p *Plan) IsCapped() bool { return p.definition.IsCapped }

// IsAggregate reports whether the view is one row of totals.
func (p *Plan) IsAggregate() bool { return len(p.definition.Aggregate) > 0 }

// IsProjecting reports whether Project leaves anything out.
func (p *Plan) IsProjecting() bool { return p.fields != nil }

// Uses lists every path that filter, sort and aggregates read, each once, so that a
// definition over a source that does not Keep one can be refused.
func (p *Plan) Uses() [][]string {
	var paths [][]string
	use := func(path []string) {
		if len(path) > 0 && !slices.ContainsFunc(paths, func(p []string) bool { return slices.Equal(p, path) }) {
			paths = append(paths, path)
		}
	}
	if p.filter != nil {
		p.filter.uses(use)
	}
	for _, s := range p.definition.Sort {
		use(s.Field)
	}
	for _, a := range p.definition.Aggregate {
		use(a.Field)
	}
	return paths
}

func (c *condition) uses(use func(path []string)) {
	use(c.field)
	for i := range c.of {
		c.of[i].uses(use)
	}
}

// Keeps reports whether a path reads the same in what Project leaves as in the whole entity.
func (p *Plan) Keeps(path []string) bool {
	return p.fields == nil || p.fields.keeps(path)
}

// Matches reports whether an entity belongs to the view.
//
//millrace:hot BenchmarkMatches TestMatchesAllocs
func (p *Plan) Matches(key string, data []byte) bool {
	if p.keys != nil {
		if _, ok := p.keys[key]; !ok {
			return false
		}
	}
	return p.filter == nil || p.filter.matches(jsonscan.Value(data))
}

// Project is the members of data that the view shows, in the order in which data has them; data
// itself, not a copy, when the view shows everything.
func (p *Plan) Project(data []byte) []byte {
	if p.fields == nil {
		return data
	}
	return p.fields.appendTo(make([]byte, 0, len(data)), jsonscan.Value(data))
}
