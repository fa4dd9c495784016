package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/projection"
)

// rules are the projections of all apps, in the order of the file, and where each stands.
func rules(c *config.Config) (list []projection.Rule, paths []string) {
	for i := range c.Apps {
		a := &c.Apps[i]
		for j, p := range a.Projections {
			paths = append(paths, fmt.Sprintf("apps[%d].projections[%d]", i, j))
			list = append(list, projection.Rule{
				App: a.ID, Channels: p.Channels, Events: p.Events, Entity: p.Entity, Key: p.Key, Op: p.Op,
				DeleteEvents: p.DeleteEvents, Data: p.Data, Append: p.Append,
			})
		}
	}
	return list, paths
}

// project is the channel engine with projections before it.
func (s *Server) project(prom prometheus.Registerer) (httpapi.Channels, error) {
	list, _ := rules(s.cfg)
	p, err := projection.New(list, s.entities, projection.Options{
		Reserve: s.views.Reserve, MaxBatch: s.cfg.Views.MaxBatch, Log: s.log, Metrics: projection.NewMetrics(prom),
	})
	if err != nil {
		return nil, err
	}
	return p.Wrap(s.channels), nil
}

// hasEntity reports whether an app has an entity type: any, unless it names them.
func (s *Server) hasEntity(appID, name string) bool {
	i := slices.IndexFunc(s.cfg.Apps, func(a config.App) bool { return a.ID == appID })
	return i >= 0 && (len(s.cfg.Apps[i].Views.Entities) == 0 || slices.Contains(s.cfg.Apps[i].Views.Entities, name))
}

// checkProjections reports what is wrong with projections.
func checkProjections(c *config.Config) (problems []config.Problem) {
	list, paths := rules(c)
	for i := range list {
		_, err := projection.New(list[i:i+1], nil, projection.Options{})
		if wrong, ok := errors.AsType[*projection.RuleError](err); ok {
			problems = append(problems, config.Problem{Path: paths[i] + "." + wrong.Field, Message: wrong.Message})
		} else if err != nil {
			problems = append(problems, config.Problem{Path: paths[i], Message: err.Error()})
		}
	}
	return problems
}
