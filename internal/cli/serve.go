package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
)

// ServeCmd runs the server until it is told to end.
type ServeCmd struct {
	Config string `help:"TOML file. Without it a development app runs: see \"millrace config\"." placeholder:"FILE" type:"path"`
	Listen string `help:"Address for clients and the HTTP API, instead of the configured one." placeholder:"ADDR"`
}

func (c *ServeCmd) Run(ctx context.Context, env *Env) error {
	if c.Listen != "" {
		env.Environ = append(env.Environ, "MILLRACE_HTTP_LISTEN="+c.Listen) // the last one counts
	}
	cfg, err := config.Load(c.Config, env.Environ, server.Check)
	if err != nil {
		return err
	}
	log, err := configuredLogger(env, cfg.Log)
	if err != nil {
		return err
	}
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // ends with ctx, or with a listener
	select {
	case err := <-done:
		return err
	case <-s.Ready():
	}
	attrs := []any{"addr", s.Addr().String(), "version", buildVersion()}
	if a := s.MetricsAddr(); a != nil {
		attrs = append(attrs, "metrics_addr", a.String())
	}
	if n, ok := descriptorLimit(); ok {
		attrs = append(attrs, "max_descriptors", n)
	}
	log.Info("serving", attrs...)
	if c.Config == "" {
		c.greet(env, cfg, s)
	}
	return <-done
}

// greet tells somebody who tries things out what to do next.
func (c *ServeCmd) greet(env *Env, cfg *config.Config, s *server.Server) {
	a := &cfg.Apps[0]
	url := "http://" + s.Addr().String()
	if cfg.HTTP.TLSCertFile != "" {
		url = "https://" + s.Addr().String()
	}
	fmt.Fprintf(env.Stdout, `
Millrace runs a development app: id %s, key %s, secret %s

  Open %s/ in two tabs, or in two more terminals:

    millrace subscribe --url %[4]s my-channel
    millrace publish --url %[4]s my-channel my-event '{"hello":"world"}'

  Ctrl-C ends it.

`, a.ID, a.Key, a.Secret.Reveal(), url)
}

// configuredLogger is env.Log as the configuration wants it.
func configuredLogger(env *Env, c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, errors.New("log.level: " + err.Error())
	}
	text := c.Format == "text" || c.Format == "auto" && isTerminal(env.Stderr)
	return newLogger(env.Stderr, text, level), nil
}
