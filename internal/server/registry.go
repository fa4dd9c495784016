package server

import (
	"context"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
	"github.com/millrace/millrace/internal/config/foreign"
	"github.com/millrace/millrace/internal/config/rules"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/store/postgres"
)

// wireDirectory loads the apps that are served: the apps of the file, and the apps of the store that
// [registry] names. Without that store the node does not start: it would refuse connections
// that it should take.
func (s *Server) wireDirectory(ctx context.Context, prom *prometheus.Registry) (err error) {
	file, err := s.fileApps(s.cfg)
	if err != nil {
		return err
	}
	advise(s.cfg, s.log)
	o := directory.Options{
		Parse: s.parser(s.cfg), Upgrade: appdoc.Upgrade, Admit: s.admitViews, NewSecret: s.weakSecret, Changed: s.appsChanged,
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
			return fmt.Errorf("registry.driver: %w (see registry.url)", err)
		}
		o.Store, o.Timeout = s.postgres, c.Timeout.D()
	}
	if s.directory, err = directory.New(file, o); err != nil {
		return err
	}
	s.apps = s.directory.Apps()
	if err := s.directory.Load(ctx); err != nil {
		return fmt.Errorf("load apps: %w (see registry.driver)", err)
	}
	return nil
}

// weakSecret describes the problem of a secret of a stored app, by the rule for secrets of the file.
func (s *Server) weakSecret(secret string) string {
	if s.cfg.IsDevelopment() {
		return ""
	}
	return rules.WeakSecret(config.Secret(secret))
}

// fileApps are the apps that c configures.
func (s *Server) fileApps(c *config.Config) ([]directory.Parsed, error) {
	if problems := Check(c); len(problems) > 0 {
		return nil, &config.Error{Source: "configuration", Problems: problems}
	}
	list := make([]directory.Parsed, len(c.Apps))
	for i := range c.Apps {
		var err error
		if list[i], err = s.parsed(&c.Apps[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *Server) parsed(c *config.App) (directory.Parsed, error) {
	origins, err := app.ParseOrigins(c.AllowedOrigins)
	if err != nil {
		return directory.Parsed{}, err
	}
	p := directory.Parsed{
		App: convert(c, origins), Document: appdoc.Write(c, true), Shown: appdoc.Write(c, false),
	}
	for _, secret := range c.Views.Secrets() {
		p.Secrets = append(p.Secrets, directory.Secret{Path: secret.Path, Value: secret.Secret.Reveal()})
	}
	if s.views != nil {
		p.Rest, err = s.viewTools().views(c)
	}
	return p, err
}

// parser reads documents of stored apps by the rules for the apps of the file that cfg is, and
// with its limits where they have none.
func (s *Server) parser(cfg *config.Config) directory.Parse {
	return func(document []byte) (directory.Parsed, []directory.Problem) { return s.parseApp(cfg, document) }
}

// isReadAlike reports whether documents mean the same under a and b.
func isReadAlike(a, b *config.Config) bool {
	return a.AppDefaults == b.AppDefaults && a.HTTP.MaxBody == b.HTTP.MaxBody
}

func (s *Server) parseApp(cfg *config.Config, document []byte) (directory.Parsed, []directory.Problem) {
	c, problems := appdoc.Parse(document, &cfg.AppDefaults)
	if len(problems) == 0 {
		problems = checkApp("", c)
		if c.MaxEventPayload > cfg.HTTP.MaxBody {
			problems = append(problems, config.Problem{
				Path: "max_event_payload", Value: strconv.Quote(c.MaxEventPayload.String()),
				Message: fmt.Sprintf("exceeds http.max_body = %q of the configuration", cfg.HTTP.MaxBody),
			})
		}
	}
	if len(problems) > 0 {
		return directory.Parsed{}, directoryProblems(problems)
	}
	p, err := s.parsed(c)
	if err != nil { // checkApp has looked
		return directory.Parsed{}, []directory.Problem{{Path: "document", Message: err.Error()}}
	}
	return p, nil
}

func directoryProblems(problems []config.Problem) []directory.Problem {
	list := make([]directory.Problem, len(problems))
	for i, p := range problems {
		list[i] = directory.Problem{Path: p.Path, Value: p.Value, Message: p.Message}
	}
	return list
}

// importApps reads the apps of other servers as documents.
func importApps(document []byte) ([][]byte, []directory.Problem) {
	list, problems := foreign.Apps(document)
	if list == nil {
		return nil, directoryProblems(problems)
	}
	documents := make([][]byte, len(list))
	for i := range list {
		documents[i] = appdoc.Write(&list[i], true)
	}
	return documents, directoryProblems(problems)
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
	if s.views == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), defineTimeout)
	defer cancel()
	if err := s.applyViews(ctx, is); err != nil {
		s.log.Error("declared views not changed", "err", err)
	}
}

func appsOf(list []directory.Parsed) []*app.App {
	apps := make([]*app.App, len(list))
	for i, p := range list {
		apps[i] = p.App
	}
	return apps
}

// revoked are the keys that a has, and b, the same app later, has not; and those with which b
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
