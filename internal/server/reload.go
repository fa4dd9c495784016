package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// Reload takes over from cfg what can change while connections are open, for connections and
// requests to come: the apps with their keys, limits and features, and the certificates. The
// connections of apps that are gone or turned off are closed. Everything else that differs is
// named in one line of the log. After an error nothing has changed.
//
// log.level is taken to be the caller's, who made the logger.
func (s *Server) Reload(ctx context.Context, cfg *config.Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	file, err := fileApps(cfg)
	if err != nil {
		return err
	}
	pairs, err := s.loadPairs(cfg)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	was := s.applied
	if was == nil {
		was = s.cfg
	}
	if err := s.directory.SetFile(ctx, file); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	for c, p := range pairs {
		c.use(p)
	}
	s.applied = cfg

	changed := slices.DeleteFunc(config.Changed(was, cfg), func(key string) bool { return !s.isLive(cfg, key) })
	s.log.InfoContext(ctx, "configuration reloaded", "changed", changed)
	waiting := slices.DeleteFunc(config.Changed(s.cfg, cfg), func(key string) bool { return s.isLive(cfg, key) })
	waiting = append(waiting, s.newViews(cfg)...)
	if len(waiting) > 0 {
		s.log.WarnContext(ctx, "part of the new configuration needs a restart", "keys", waiting)
	}
	return nil
}

// loadPairs reads the key pairs that cfg names, for the listeners that have one.
func (s *Server) loadPairs(cfg *config.Config) (map[*certificate]*keyPair, error) {
	pairs := map[*certificate]*keyPair{}
	for _, l := range []struct {
		certificate       *certificate
		certFile, keyFile string
	}{
		{s.publicCert, cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile},
		{s.operatorCert, cfg.Metrics.TLSCertFile, cfg.Metrics.TLSKeyFile},
	} {
		if l.certificate == nil || l.certFile == "" {
			continue // turning TLS on or off needs a restart
		}
		p, err := loadKeyPair(l.certFile, l.keyFile)
		if err != nil {
			return nil, err
		}
		pairs[l.certificate] = p
	}
	return pairs, nil
}

// isLive reports whether Reload takes the key over: a path as of config.Changed. The tables
// within an app (views, projections) are wired once.
func (s *Server) isLive(cfg *config.Config, key string) bool {
	switch key {
	case "log.level":
		return true
	case "http.tls_cert_file", "http.tls_key_file":
		return s.publicCert != nil && cfg.HTTP.TLSCertFile != ""
	case "metrics.tls_cert_file", "metrics.tls_key_file":
		return s.operatorCert != nil && cfg.Metrics.TLSCertFile != ""
	}
	of, rest, _ := strings.Cut(key, ".")
	return strings.HasPrefix(of, "apps[") && !strings.Contains(rest, ".") && rest != "projections"
}

// newViews are the keys of apps that were not there at the start and want what is wired then.
func (s *Server) newViews(cfg *config.Config) []string {
	var keys []string
	for i := range cfg.Apps {
		isKnown := func(a config.App) bool { return a.ID == cfg.Apps[i].ID }
		if slices.ContainsFunc(s.cfg.Apps, isKnown) {
			continue
		}
		plain := config.DefaultApp()
		plain.ID = cfg.Apps[i].ID
		before, after := &config.Config{Apps: []config.App{plain}}, &config.Config{Apps: []config.App{cfg.Apps[i]}}
		for _, key := range config.Changed(before, after) {
			if !s.isLive(cfg, key) {
				keys = append(keys, fmt.Sprintf("apps[%d]", i)+strings.TrimPrefix(key, "apps[0]"))
			}
		}
	}
	return keys
}

// closeApp ends the live connections of an app that is gone or turned off.
func (s *Server) closeApp(id string) {
	s.channelFace.CloseApp(id)
	if s.viewSessions != nil {
		s.viewSessions.CloseApp(id)
	}
}
