package view

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/query"
)

// check judges what can only be judged beside the other views: the source, circles, and
// whether every derived view still sees the fields that it uses. It returns the source, nil for
// X/list. The caller holds defining.
func (e *Engine) check(app string, d *query.Definition, plan *query.Plan) (source *derivedView, problems []string) {
	source, problem := e.checkSource(app, d)
	if problem != "" {
		return nil, []string{"source: " + problem}
	}
	shape := shapeOf(source)
	problems = checkFields(nil, "", plan, shape)
	n := e.find(app, d.ID)
	if n == nil {
		return source, problems
	}
	if len(n.children) > 0 && plan.IsAggregate() {
		problems = append(problems, fmt.Sprintf("aggregate: %q derives from this view and would have nothing to read", n.children[0].id))
	}
	if plan.IsProjecting() {
		shape = plan
	}
	return source, checkChildren(problems, n, shape)
}

// checkSource finds the source of d. All that has a definition was checked before, so only d
// itself can close a circle.
func (e *Engine) checkSource(app string, d *query.Definition) (*derivedView, string) {
	if typ, _, ok := splitBase(d.Source); ok {
		return nil, entity.CheckType(typ)
	}
	n := e.find(app, d.Source)
	if n == nil || n.plan == nil {
		return nil, unknownSource(d.Source)
	}
	if n.plan.IsAggregate() {
		return nil, aggregateSource(n.plan)
	}
	for up := n; up != nil; up = up.source {
		if up.id == d.ID {
			return nil, circle(d.Source, d.ID)
		}
	}
	return n, ""
}

func unknownSource(id string) string {
	return fmt.Sprintf("there is no view %q; use the list of an entity type, such as \"Auction/list\", or define it first", id)
}

func aggregateSource(p *query.Plan) string {
	return fmt.Sprintf("%q is an aggregate of one row; derive from %q", p.ID(), p.Source())
}

func circle(source, id string) string {
	return fmt.Sprintf("%q derives from %q itself: a circle", source, id)
}

// shapeOf is the plan whose projection n shows, nil when it shows everything.
func shapeOf(n *derivedView) *query.Plan {
	for ; n != nil; n = n.source {
		if n.plan.IsProjecting() {
			return n.plan
		}
	}
	return nil
}

// checkChildren judges all that derives from n again, which will show something else.
func checkChildren(problems []string, n *derivedView, shape *query.Plan) []string {
	for _, child := range n.children {
		of := fmt.Sprintf("fields: %q derives from this view: ", child.id)
		problems = checkFields(problems, of, child.plan, shape)
		if !child.plan.IsProjecting() { // otherwise nothing changes below it
			problems = checkChildren(problems, child, shape)
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
