package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
	"github.com/millrace/millrace/internal/config/rules"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/store/postgres"
	"github.com/millrace/millrace/internal/token"
)

// wireDirectory loads the apps that are served: the apps of the file, and the apps of the store that
// [registry] names. Without that store the node does not start: it would refuse connections
// that it should take.
func (s *Server) wireDirectory(ctx context.Context, prom *prometheus.Registry) (err error) {
	file, err := s.maker().File(s.cfg)
	if err != nil {
		return err
	}
	advise(s.cfg, s.log)
	o := directory.Options{
		Parse: s.maker().Parser(s.cfg), Upgrade: appdoc.Upgrade, Admit: s.admitViews, NewSecret: s.weakSecret, Changed: s.appsChanged,
		Log: s.log, Metrics: directory.NewMetrics(prom),
	}
	if s.cfg.Admin.Key != "" {
		o.Reserved = []string{s.cfg.Admin.Key}
	}
	switch c := &s.cfg.Registry; c.Driver {
	case "embedded":
		o.Store = s.store
	case "postgres":
		s.postgres, err = postgres.Open(ctx, postgres.Options{
			URL: c.URL.Reveal(), Timeout: c.Timeout.D(), PollInterval: c.PollInterval.D(),
			Log: s.log, Metrics: postgres.NewMetrics(prom),
		})
		if err != nil {
			return fmt.Errorf("open the database of apps that registry.url names: %w", err)
		}
		o.Store, o.Timeout = s.postgres, c.Timeout.D()
	}
	if s.directory, err = directory.New(file, o); err != nil {
		return err
	}
	s.apps = s.directory.Apps()
	if err := s.directory.Load(ctx); err != nil {
		return fmt.Errorf("load apps from the store that registry.driver names: %w", err)
	}
	return nil
}

// maker makes the apps of this node.
func (s *Server) maker() *provision.Maker {
	if s.views == nil {
		return new(provision.Maker)
	}
	return &provision.Maker{Views: &provision.ViewTools{
		Revocations: s.revocations, Metrics: s.tokens, AllowMint: s.allowMint,
		Remote: token.RemoteOptions{Log: s.log, Metrics: s.tokens},
	}}
}

// advise tells the operator about settings that are allowed in cfg and probably not meant.
func advise(cfg *config.Config, log *slog.Logger) {
	for _, p := range rules.Advise(cfg) {
		log.Warn("a setting is allowed, and probably not meant", "key", p.Path, "advice", p.Message)
	}
}

// weakSecret describes the problem of a secret of a stored app, by the rule for secrets of the file.
func (s *Server) weakSecret(secret string) string {
	if s.cfg.IsDevelopment() {
		return ""
	}
	return rules.WeakSecret(config.Secret(secret))
}

// appsChanged applies a change of apps to open connections. It ends connections of apps that are
// gone or disabled, connections that depend on a key that is gone, and connections that other rules
// have admitted to views. The registry has the new apps already, so no connection is opened with
// the old ones during the call.
func (s *Server) appsChanged(was, is []directory.Parsed) {
	if s.channelSessions == nil {
		return // no client is connected before New has returned
	}
	before, after := appsOf(was), appsOf(is)
	now := make(map[string]*app.App, len(after))
	for _, a := range after {
		now[a.ID] = a
	}
	for _, a := range before {
		b := now[a.ID]
		switch {
		case a == b:
		case b == nil || a.Enabled && !b.Enabled:
			s.closeApp(a.ID)
		default:
			gone, changed := revoked(a, b)
			if len(gone) > 0 {
				s.channelSessions.CloseKeys(a.ID, gone)
			}
			if len(changed) > 0 {
				s.channelSessions.RestartKeys(a.ID, changed)
			}
		}
	}
	s.applyWebhooks(before, after)
	s.applyHistory(s.apps.All())
	if s.views == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), defineTimeout)
	defer cancel()
	if err := s.applyViews(ctx, is); err != nil {
		s.log.Error("views that apps declare were not changed", "err", err)
	}
}

func appsOf(list []directory.Parsed) []*app.App {
	apps := make([]*app.App, len(list))
	for i, p := range list {
		apps[i] = p.App
	}
	return apps
}

// revoked returns the keys that a has, and b, the same app later, has not; and the keys with which b
// does not verify any more what they have signed for a.
func revoked(a, b *app.App) (gone, changed []string) {
	own := app.Credential{Key: a.Key, Secret: a.Secret, Rights: app.RightsAll}
	for _, c := range append([]app.Credential{own}, a.Credentials...) {
		now, ok := b.Credential(c.Key)
		switch {
		case !ok:
			gone = append(gone, c.Key)
		case c.Rights != app.RightsAll: // it has signed nothing
		case now.Secret != c.Secret || now.Rights != app.RightsAll:
			changed = append(changed, c.Key)
		}
	}
	return gone, changed
}

// closeDirectory gives back the database of apps.
func (s *Server) closeDirectory() error {
	if s.postgres == nil {
		return nil
	}
	return s.postgres.Close()
}
