package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/page"
	"github.com/millrace/millrace/internal/projection"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// appViews is what live views need of one app: its authenticator, minter, rules and
// definitions. It is made whenever the app is, so that whatever is wrong stands against the app
// before anything has changed. Immutable; nothing in it has to be closed.
type appViews struct {
	auth        token.Authenticator // nil: admits no client
	minter      *token.Minter       // nil: mints nothing
	rules       *projection.Rules   // nil: nothing is projected
	entities    []string            // empty: any
	definitions []*query.Definition // besides the definitions of the API
	base        *access.Rules       // who may read base views

	admission config.AppViews // what auth was made of
}

// viewTable is the views of all apps that are served. It is replaced as a whole.
type viewTable struct {
	apps    map[string]servedViews // by id
	minters []*token.Minter        // by id of the app
}

// servedViews is a value, so that an app that is not there has one: it admits no client.
type servedViews struct {
	*appViews
	auth token.Authenticator // appViews.auth, or an earlier one like it, with the keys it has fetched
}

// viewTools is what the views of apps are made with. Views that are only checked need none.
type viewTools struct {
	revocations *token.Revocations
	metrics     *token.Metrics
	remote      token.RemoteOptions
	allowMint   func(key string, now time.Time, perMinute int) (wait time.Duration, ok bool)
}

func (s *Server) viewTools() *viewTools {
	return &viewTools{
		revocations: s.revocations, metrics: s.tokens, allowMint: s.allowMint,
		remote: token.RemoteOptions{Log: s.log, Metrics: s.tokens},
	}
}

// views makes what live views need of an app.
func (t *viewTools) views(c *config.App) (*appViews, error) {
	v := &appViews{entities: c.Views.Entities, admission: admission(&c.Views), base: baseRules(&c.Views)}
	var err error
	if v.auth, v.minter, err = t.appAuth(c); err != nil {
		return nil, err
	}
	if v.definitions, err = parseDefinitions(c); err != nil {
		return nil, err
	}
	v.rules, err = projection.Compile(projectionRules(c))
	return v, err
}

// baseRules are who may read base views. With session tokens, which are given to the app's own users,
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

// admission is what of c decides who is admitted.
func admission(c *config.AppViews) config.AppViews {
	a, plain := *c, config.DefaultApp().Views
	a.Entities, a.Definitions = nil, nil
	a.SecretKeys, a.PublishableKeys, a.MintOrigins, a.MintPerMinute = nil, nil, nil, plain.MintPerMinute
	a.TokenTTL, a.TokenMaxConnections, a.TokenMaxSubscriptions = plain.TokenTTL, plain.TokenMaxConnections, plain.TokenMaxSubscriptions
	return a
}

// authenticator is nil for an app that admits no client.
func (s *Server) authenticator(appID string) token.Authenticator {
	return s.viewTable.Load().apps[appID].auth
}

// readers is who may read views without a signature.
func (s *Server) readers() *reader.Rules {
	return &reader.Rules{Authenticator: s.authenticator, Base: s.baseRulesOf, HasPublic: s.views.HasPublic}
}

func (s *Server) baseRulesOf(appID string) *access.Rules {
	if v := s.viewTable.Load().apps[appID]; v.appViews != nil {
		return v.base
	}
	return nil
}

func (s *Server) rulesOf(appID string) *projection.Rules {
	if v := s.viewTable.Load().apps[appID]; v.appViews != nil {
		return v.rules
	}
	return nil
}

func (s *Server) minters() []*token.Minter { return s.viewTable.Load().minters }

// hasEntity reports whether an app has an entity type: any, unless it names them.
func (s *Server) hasEntity(appID, name string) bool {
	v := s.viewTable.Load().apps[appID]
	return v.appViews != nil && (len(v.entities) == 0 || slices.Contains(v.entities, name))
}

// admitViews says why the definitions of an app could not replace those it has: views that were
// made with the API may derive from them. The caller has the turn of the directory.
func (s *Server) admitViews(p directory.Parsed) []directory.Problem {
	next, ok := p.Rest.(*appViews)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), defineTimeout)
	defer cancel()
	err := s.views.Check(ctx, p.App.ID, s.defined[p.App.ID], s.definitionsOf(p.App.ID, next))
	wrong, isWrong := errors.AsType[view.DefinitionErrors](err)
	if err != nil && !isWrong {
		return []directory.Problem{{Path: "views.definitions", Message: "others are changing definitions; try again"}}
	}
	var problems []directory.Problem
	for _, id := range slices.Sorted(maps.Keys(wrong)) {
		for _, text := range wrong[id] {
			problems = append(problems, directory.Problem{
				Path: "views.definitions", Value: id,
				Message: fmt.Sprintf("the view %q could not be served any more: %s", id, text),
			})
		}
	}
	return problems
}

// definitionsOf returns the definitions that v declares, and the definition of the page.
func (s *Server) definitionsOf(appID string, v *appViews) []*query.Definition {
	if !s.cfg.Development.Page || len(s.cfg.Apps) == 0 || appID != s.cfg.Apps[0].ID {
		return v.definitions
	}
	d, err := query.Parse([]byte(page.TableDefinition))
	if err != nil || slices.ContainsFunc(v.definitions, func(other *query.Definition) bool { return other.ID == d.ID }) {
		return v.definitions
	}
	return append(slices.Clip(v.definitions), d)
}

// defineTimeout is how long to wait for others who change definitions, and for their store.
const defineTimeout = 10 * time.Second

// applyViews replaces the views of was by the views of is: first the definitions, then the rules of
// access; then clients that were admitted by other rules have to authenticate again. After an error
// about an app its definitions are as they were, and all else is replaced. The caller has the turn
// of the directory, or is New.
func (s *Server) applyViews(ctx context.Context, is []directory.Parsed) error {
	before := s.viewTable.Load()
	next := &viewTable{apps: make(map[string]servedViews, len(is))}
	var errs []error
	isReadmitting := false
	for _, p := range is {
		made, ok := p.Rest.(*appViews)
		if !ok {
			continue
		}
		id := p.App.ID
		v, was := servedViews{made, made.auth}, before.apps[id]
		switch {
		case was.appViews == nil: // no client can be connected
		case reflect.DeepEqual(made.admission, was.admission):
			v.auth = was.auth
		default:
			isReadmitting = true
		}
		if was.appViews != made {
			errs = append(errs, s.declare(ctx, id, made))
		}
		next.apps[id] = v
		if made.minter != nil {
			next.minters = append(next.minters, made.minter)
		}
	}
	for id := range before.apps {
		if next.apps[id].appViews == nil {
			s.views.Close(id)
			errs = append(errs, s.define(ctx, id, nil))
		}
	}
	s.viewTable.Store(next)
	if isReadmitting {
		s.viewSessions.Readmit()
	}
	return errors.Join(errs...)
}

// declare makes the entity types and derived views of an app those that v declares.
func (s *Server) declare(ctx context.Context, appID string, v *appViews) error {
	if len(v.entities) == 0 {
		s.views.Open(appID)
	} else {
		s.views.Close(appID)
	}
	for _, name := range v.entities {
		s.entities.Declare(appID, name)
	}
	return s.define(ctx, appID, s.definitionsOf(appID, v))
}

// define replaces the definitions that an app has declared. They stay as they are when views that
// were made with the API need them; admitViews has told the operator if the change was made here.
func (s *Server) define(ctx context.Context, appID string, next []*query.Definition) error {
	if err := s.views.Replace(ctx, appID, s.defined[appID], next); err != nil {
		return fmt.Errorf("app %s: %w", appID, err)
	}
	if len(next) == 0 {
		delete(s.defined, appID)
	} else {
		s.defined[appID] = next
	}
	return nil
}
