package server

import (
	"context"
	"reflect"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// wireWebhooks makes the engine and takes up what a former process has left. Its endpoints are
// set by applyWebhooks.
func (s *Server) wireWebhooks(ctx context.Context, prom prometheus.Registerer) error {
	o := provision.WebhookOptions(&s.cfg.Webhooks)
	o.Apps, o.Log, o.Metrics = s.apps, s.log, outbox.NewMetrics(prom)
	if s.store != nil {
		o.Store = s.store
	}
	s.webhooks = outbox.New(o)
	return s.webhooks.Load(ctx)
}

// applyWebhooks sets the endpoints of the apps in is, and removes the endpoints of apps that are in
// was alone. It leaves unchanged apps as they are. It is called after the registry knows
// the new apps; calls about one app must not overlap.
func (s *Server) applyWebhooks(was, is []*app.App) {
	before := make(map[string]*app.App, len(was))
	for _, a := range was {
		before[a.ID] = a
	}
	for _, a := range is {
		old := before[a.ID]
		delete(before, a.ID)
		if old == nil && len(a.Webhooks) == 0 || old != nil && reflect.DeepEqual(old.Webhooks, a.Webhooks) {
			continue
		}
		s.setWebhooks(a.ID, a.Webhooks)
	}
	for id, old := range before {
		if len(old.Webhooks) > 0 {
			s.setWebhooks(id, nil)
		}
	}
}

// setWebhooks also tells the engine which users are online already: perhaps no endpoint wanted that
// before.
func (s *Server) setWebhooks(appID string, list []app.Webhook) {
	if err := s.webhooks.SetEndpoints(appID, list); err != nil {
		s.log.Error("webhooks of an app were not changed", "app", appID, "err", err)
		return
	}
	if len(list) > 0 {
		s.bus.Announce(appID)
	}
}
