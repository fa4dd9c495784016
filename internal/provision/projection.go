package provision

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/projection"
)

// projectionRules returns the projections of an app.
func projectionRules(a *config.App) []projection.Rule {
	list := make([]projection.Rule, len(a.Projections))
	for i, p := range a.Projections {
		list[i] = projection.Rule{
			Channels: p.Channels, Events: p.Events, Entity: p.Entity, Key: p.Key, Op: p.Op,
			DeleteEvents: p.DeleteEvents, Data: p.Data, Append: p.Append,
		}
	}
	return list
}

// checkProjections reports the problems of the projections of an app.
func checkProjections(at string, a *config.App) (problems []config.Problem) {
	list := projectionRules(a)
	for i := range list {
		path := fmt.Sprintf("%sprojections[%d]", at, i)
		_, err := projection.Compile(list[i : i+1])
		if wrong, ok := errors.AsType[*projection.RuleError](err); ok {
			problems = append(problems, config.Problem{Path: path + "." + wrong.Field, Message: wrong.Message})
		} else if err != nil {
			problems = append(problems, config.Problem{Path: path, Message: err.Error()})
		}
	}
	return problems
}
