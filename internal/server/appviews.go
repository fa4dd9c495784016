package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/page"
	"github.com/millrace/millrace/internal/projection"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
)

// viewTable is the views of all apps that are served. It is replaced as a whole.
type viewTable struct {
	apps    map[string]servedViews // by id
	minters []*token.Minter        // by id of the app
}

// servedViews is a value, so that an app that is not there has one: it admits no client.
type servedViews struct {
	*provision.Views
	auth token.Authenticator // Views.Auth, or an earlier one like it, with the keys it has fetched
}

// authenticator returns nil for an app that admits no client.
func (s *Server) authenticator(appID string) token.Authenticator {
	return s.viewTable.Load().apps[appID].auth
}

// readers returns the rules for readers of views without a signature.
func (s *Server) readers() *reader.Rules {
	return &reader.Rules{Authenticator: s.authenticator, Base: s.baseRulesOf, HasPublic: s.views.HasPublic}
}

func (s *Server) baseRulesOf(appID string) *access.Rules {
	if v := s.viewTable.Load().apps[appID]; v.Views != nil {
		return v.Base
	}
	return nil
}

func (s *Server) rulesOf(appID string) *projection.Rules {
	if v := s.viewTable.Load().apps[appID]; v.Views != nil {
		return v.Rules
	}
	return nil
}

func (s *Server) minters() []*token.Minter { return s.viewTable.Load().minters }

// hasEntity reports whether an app has an entity type: any, unless it names them.
func (s *Server) hasEntity(appID, name string) bool {
	v := s.viewTable.Load().apps[appID]
	return v.Views != nil && (len(v.Entities) == 0 || slices.Contains(v.Entities, name))
}

// admitViews says why the definitions of an app could not replace those it has: views that were
// made with the API may derive from them. The caller has the turn of the directory.
func (s *Server) admitViews(p directory.Parsed) []directory.Problem {
	next, ok := p.Rest.(*provision.Views)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), defineTimeout)
	defer cancel()
	err := s.definitions.Check(ctx, p.App.ID, s.defined[p.App.ID], s.definitionsOf(p.App.ID, next))
	wrong, isWrong := errors.AsType[definition.Errors](err)
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
func (s *Server) definitionsOf(appID string, v *provision.Views) []*query.Definition {
	if !s.cfg.Development.Page || len(s.cfg.Apps) == 0 || appID != s.cfg.Apps[0].ID {
		return v.Definitions
	}
	d, err := query.Parse([]byte(page.TableDefinition))
	if err != nil || slices.ContainsFunc(v.Definitions, func(other *query.Definition) bool { return other.ID == d.ID }) {
		return v.Definitions
	}
	return append(slices.Clip(v.Definitions), d)
}

// defineTimeout is how long to wait for other callers that change definitions, and for the store.
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
		made, ok := p.Rest.(*provision.Views)
		if !ok {
			continue
		}
		id := p.App.ID
		v, was := servedViews{made, made.Auth}, before.apps[id]
		switch {
		case was.Views == nil: // no client can be connected
		case made.AdmitsLike(was.Views):
			v.auth = was.auth
		default:
			isReadmitting = true
		}
		if was.Views != made {
			errs = append(errs, s.declare(ctx, id, made))
		}
		next.apps[id] = v
		if made.Minter != nil {
			next.minters = append(next.minters, made.Minter)
		}
	}
	for id := range before.apps {
		if next.apps[id].Views == nil {
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
func (s *Server) declare(ctx context.Context, appID string, v *provision.Views) error {
	if len(v.Entities) == 0 {
		s.views.Open(appID)
	} else {
		s.views.Close(appID)
	}
	for _, name := range v.Entities {
		s.entities.Declare(appID, name)
	}
	return s.define(ctx, appID, s.definitionsOf(appID, v))
}

// define replaces the definitions that an app has declared. They stay as they are when views that
// were made with the API need them; admitViews has told the operator if the change was made here.
func (s *Server) define(ctx context.Context, appID string, next []*query.Definition) error {
	if err := s.definitions.Replace(ctx, appID, s.defined[appID], next); err != nil {
		return fmt.Errorf("app %s: %w", appID, err)
	}
	if len(next) == 0 {
		delete(s.defined, appID)
	} else {
		s.defined[appID] = next
	}
	return nil
}
