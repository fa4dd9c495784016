package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/listen"
	"github.com/millrace/millrace/internal/provision"
)

// Reload applies the settings of cfg that can change while connections are open, for connections and
// requests to come: the apps with their keys, limits, features, views and projections, the default
// limits of apps, stored apps included, and the certificates. It closes the connections of apps that
// are gone or disabled, and connections to views whose app has other rules of admission now. One
// line of the log names every other setting that differs. After an error nothing has changed.
//
// The caller applies log.level itself, because it made the logger.
func (s *Server) Reload(ctx context.Context, cfg *config.Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	was := s.applied
	if was == nil {
		was = s.cfg
	}
	file, err := s.maker().File(cfg)
	if err != nil {
		return err
	}
	if problems := append(CheckFiles(cfg), config.Forgotten(was, cfg)...); len(problems) > 0 {
		return &config.Error{Source: "configuration", Problems: problems}
	}
	pairs, err := s.loadPairs(cfg)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	var parse directory.Parse // nil: documents mean what they did
	if !provision.IsReadAlike(was, cfg) {
		parse = s.maker().Parser(cfg)
	}
	if err := s.directory.SetFile(ctx, file, parse); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	for c, p := range pairs {
		c.Use(p)
	}
	s.applied = cfg
	advise(cfg, s.log)

	changed := slices.DeleteFunc(config.Changed(was, cfg), func(key string) bool { return !s.isLive(cfg, key) })
	s.log.InfoContext(ctx, "configuration reloaded", "changed", changed)
	waiting := slices.DeleteFunc(config.Changed(s.cfg, cfg), func(key string) bool { return s.isLive(cfg, key) })
	if len(waiting) > 0 {
		s.log.WarnContext(ctx, "part of the new configuration needs a restart", "keys", waiting)
	}
	return nil
}

// loadPairs reads the key pairs that cfg names, for the listeners that have one.
func (s *Server) loadPairs(cfg *config.Config) (map[*listen.Certificate]*listen.KeyPair, error) {
	pairs := map[*listen.Certificate]*listen.KeyPair{}
	for _, l := range []struct {
		certificate       *listen.Certificate
		certFile, keyFile string
	}{
		{s.publicCert, cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile},
		{s.operatorCert, cfg.Metrics.TLSCertFile, cfg.Metrics.TLSKeyFile},
	} {
		if l.certificate == nil || l.certFile == "" {
			continue // turning TLS on or off needs a restart
		}
		p, err := listen.LoadKeyPair(l.certFile, l.keyFile)
		if err != nil {
			return nil, err
		}
		pairs[l.certificate] = p
	}
	return pairs, nil
}

// isLive reports whether Reload takes the key over: a path as of config.Changed.
func (s *Server) isLive(cfg *config.Config, key string) bool {
	switch key {
	case "log.level":
		return true
	case "http.tls_cert_file", "http.tls_key_file":
		return s.publicCert != nil && cfg.HTTP.TLSCertFile != ""
	case "metrics.tls_cert_file", "metrics.tls_key_file":
		return s.operatorCert != nil && cfg.Metrics.TLSCertFile != ""
	}
	return strings.HasPrefix(key, "apps[") || strings.HasPrefix(key, "app_defaults.")
}

// closeApp ends the live connections of an app that is gone or turned off.
func (s *Server) closeApp(id string) {
	s.channelSessions.CloseApp(id)
	if s.viewSessions != nil {
		s.viewSessions.CloseApp(id)
	}
}
