package provision

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/projection"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/token"
)

// Views is what live views need of one app: its authenticator, minter, rules and definitions. It is
// made whenever the app is, so that everything that is wrong stands against the app before anything has
// changed. Immutable; nothing in it has to be closed.
type Views struct {
	Auth        token.Authenticator // nil: admits no client
	Minter      *token.Minter       // nil: mints nothing
	Rules       *projection.Rules   // nil: nothing is projected
	Entities    []string            // empty: any
	Definitions []*query.Definition // besides the definitions of the API
	Base        *access.Rules       // who may read base views

	admission config.AppViews // what Auth was made of
}

// AdmitsLike reports whether the rules by which v and w admit clients are the same.
func (v *Views) AdmitsLike(w *Views) bool { return reflect.DeepEqual(v.admission, w.admission) }

// ViewTools is what the views of apps are made with. Views that are only checked need none.
type ViewTools struct {
	Revocations *token.Revocations
	Metrics     *token.Metrics
	Remote      token.RemoteOptions
	AllowMint   func(key string, now time.Time, perMinute int) (wait time.Duration, ok bool)
}

// views makes what live views need of an app.
func (t *ViewTools) views(c *config.App) (*Views, error) {
	v := &Views{Entities: c.Views.Entities, admission: admission(&c.Views), Base: baseRules(&c.Views)}
	var err error
	if v.Auth, v.Minter, err = t.appAuth(c); err != nil {
		return nil, err
	}
	if v.Definitions, err = query.ParseMaps(c.Views.Definitions); err != nil {
		return nil, err
	}
	v.Rules, err = projection.Compile(projectionRules(c))
	return v, err
}

// baseRules says who may read base views. With session tokens, which are given to the app's own users,
// it is the server alone unless said otherwise.
func baseRules(c *config.AppViews) *access.Rules {
	fallback := access.Token
	if c.Auth == "session" {
		fallback = access.Server
	}
	list := make([]access.Rule, len(c.Access))
	for i, rule := range c.Access {
		level, _ := access.Parse(rule.Access) // the rules of package config know no other words
		list[i] = access.Rule{Views: rule.Views, Level: level}
	}
	return access.NewRules(list, fallback)
}

// admission returns the part of c that decides who is admitted.
func admission(c *config.AppViews) config.AppViews {
	a, plain := *c, config.DefaultApp().Views
	a.Entities, a.Definitions = nil, nil
	a.SecretKeys, a.PublishableKeys, a.MintOrigins, a.MintPerMinute = nil, nil, nil, plain.MintPerMinute
	a.TokenTTL, a.TokenMaxConnections, a.TokenMaxSubscriptions = plain.TokenTTL, plain.TokenMaxConnections, plain.TokenMaxSubscriptions
	return a
}

// checkViews reports the problems of the views of an app.
func checkViews(at string, a *config.App) []config.Problem {
	var problems []config.Problem
	report := func(path, message string) {
		problems = append(problems, config.Problem{Path: at + path, Message: message})
	}
	var list []*query.Definition
	where := map[string]string{} // by id
	for i, table := range a.Views.Definitions {
		path := fmt.Sprintf("views.definitions[%d]", i)
		d, err := query.ParseMap(table)
		if wrong, ok := errors.AsType[*query.Error](err); ok {
			for _, p := range wrong.Problems {
				report(path, p)
			}
			continue
		}
		if err != nil {
			report(path, err.Error())
			continue
		}
		if first, taken := where[d.ID]; taken {
			report(path, fmt.Sprintf("the same id as %s; ids are unique", first))
			continue
		}
		where[d.ID] = path
		list = append(list, d)
		name, _, isPath := strings.Cut(d.Source, "/")
		if isPath && len(a.Views.Entities) > 0 && strings.HasSuffix(d.Source, "/list") && !slices.Contains(a.Views.Entities, name) {
			report(path, fmt.Sprintf("source %q: views.entities does not name %q", d.Source, name))
		}
	}
	for i, name := range a.Views.Entities {
		if wrong := entity.CheckType(name); wrong != "" {
			report(fmt.Sprintf("views.entities[%d]", i), wrong)
		}
	}
	if len(problems) > 0 { // one of those that are wrong may be the source of others
		return problems
	}
	wrong := definition.CheckAll(list)
	for _, d := range list {
		for _, p := range wrong[d.ID] {
			report(where[d.ID], p)
		}
	}
	if _, _, err := (&ViewTools{}).appAuth(a); err != nil {
		report("views", err.Error())
	}
	return problems
}
