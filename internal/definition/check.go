package definition

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// checkNew judges a view that is to join the others, or to take the place of one, by what can only be
// judged beside them: the source, circles, and whether every view still sees the fields that it uses.
func (ps plans) checkNew(p *query.Plan) (problems []string) {
	if problem := ps.checkSource(p); problem != "" {
		return []string{"source: " + problem}
	}
	shape := ps.shapeAbove(p)
	problems = checkFields(nil, "", p, shape)
	children := ps.children(p.ID())
	if len(children) > 0 && p.IsAggregate() {
		problems = append(problems, fmt.Sprintf("aggregate: %q derives from this view and would have nothing to read", children[0].ID()))
	}
	if p.IsProjecting() {
		shape = p
	}
	return ps.checkChildren(problems, p.ID(), shape)
}

// checkSource says what is wrong with the source of p, which need not be one of ps.
func (ps plans) checkSource(p *query.Plan) string {
	if typ, _, ok := protocol.SplitBaseView(p.Source()); ok {
		return entity.CheckType(typ)
	}
	source := ps[p.Source()]
	switch {
	case source == nil:
		return fmt.Sprintf("there is no view %q; use the list of an entity type, such as \"Auction/list\", or define it first", p.Source())
	case source.IsAggregate():
		return fmt.Sprintf("%q is an aggregate of one row; derive from %q", source.ID(), source.Source())
	}
	up := source
	for range ps { // longer than any chain
		if up == nil {
			return ""
		}
		if up.ID() == p.ID() {
			return fmt.Sprintf("%q derives from %q itself: a circle", p.Source(), p.ID())
		}
		up = ps[up.Source()]
	}
	return "" // into a circle that p is no part of: the views of the circle are told of it
}

// checkChildren judges all that derives from a view again, which will show something else.
func (ps plans) checkChildren(problems []string, id string, shape *query.Plan) []string {
	for _, child := range ps.children(id) {
		of := fmt.Sprintf("fields: %q derives from this view: ", child.ID())
		problems = checkFields(problems, of, child, shape)
		if !child.IsProjecting() { // otherwise nothing changes below it
			problems = ps.checkChildren(problems, child.ID(), shape)
		}
	}
	return problems
}

// checkFields reports what a view uses or shows although its source does not show it.
func checkFields(problems []string, prefix string, plan, shape *query.Plan) []string {
	if shape == nil {
		return problems
	}
	for _, path := range plan.Uses() {
		if !shape.Keeps(path) {
			problems = append(problems, fmt.Sprintf("%sit uses %q, which its source %q does not show; add it to the fields of %q",
				prefix, strings.Join(path, "."), plan.Source(), shape.ID()))
		}
	}
	for _, field := range plan.Definition().Fields {
		if !shape.Keeps(strings.Split(field, ".")) {
			problems = append(problems, fmt.Sprintf("%sit shows %q, which its source %q does not; add it to the fields of %q",
				prefix, field, plan.Source(), shape.ID()))
		}
	}
	return problems
}
