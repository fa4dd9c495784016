package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/descriptor"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/server"
)

// ServeCmd runs the server until it is told to end.
type ServeCmd struct {
	Config string `help:"Configuration file of the server. It is in TOML; \"millrace config\" prints one. Without it the server runs a development app, unless the environment has an app." placeholder:"FILE" type:"path"`
	Listen string `help:"Address for clients and the HTTP API, instead of the configured one." placeholder:"ADDR"`
	Dev    bool   `help:"Keep development mode, also where other machines reach the server. For containers and phones: the page of the server then signs for every visitor."`

	inherited net.Listener // of the service manager; nil: there is none
}

// Run serves until ctx ends. A hangup reads the configuration again.
func (c *ServeCmd) Run(ctx context.Context, env *Env) error {
	asked, stop := hangupsOf(env) // from here on a hangup does not end the process
	defer stop()
	var err error
	if c.inherited, err = inheritedListener(env); err != nil {
		return err
	}
	cfg, err := c.load(env)
	if err != nil {
		return err
	}
	log, level, err := configuredLogger(env, cfg.Log)
	if err != nil {
		return err
	}
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	s.CalledAs(program(env))
	if c.inherited != nil {
		s.Inherit(c.inherited)
	}
	p := &serving{cmd: c, env: env, server: s, log: log, level: level, asked: asked, notify: notifier{env.Variable("NOTIFY_SOCKET"), log}}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // ends with ctx, or with a listener
	select {
	case err := <-done:
		return err
	case <-s.Ready():
	}
	p.announce(cfg)
	if c.Config == "" && cfg.IsDevelopment() && s.Addr().Network() == "tcp" {
		greet(env, cfg, s.Addr())
	}
	return p.wait(ctx, done)
}

// program returns how the user calls this program.
func program(env *Env) string { return cmp.Or(env.Program, "millrace") }

// hangupsOf returns the requests to reload, which never come on a system without the signal.
func hangupsOf(env *Env) (asked <-chan os.Signal, stop func()) {
	if env.Hangups == nil {
		return nil, func() {}
	}
	return env.Hangups()
}

// load reads the configuration.
func (c *ServeCmd) load(env *Env) (*config.Config, error) {
	environ := env.ServerEnviron()
	if c.Listen != "" {
		environ = append(environ, "MILLRACE_HTTP_LISTEN="+c.Listen) // the last one counts
	}
	source := load.Source{Path: c.Config, Environ: environ, Dev: c.Dev}
	if c.inherited != nil {
		source.Listener = c.inherited.Addr()
	}
	return source.Load(provision.Check, server.CheckFiles)
}

// serving is a server that answers, and the service manager that is told about it.
type serving struct {
	cmd    *ServeCmd
	env    *Env
	server *server.Server
	log    *slog.Logger
	level  *slog.LevelVar
	asked  <-chan os.Signal // to reload
	notify notifier
}

// announce prints the address of the server, and whether other machines reach it.
func (p *serving) announce(cfg *config.Config) {
	attrs := []any{"addr", p.server.Addr().String(), "version", buildVersion()}
	if a := p.server.MetricsAddr(); a != nil {
		attrs = append(attrs, "metrics_addr", a.String())
	}
	if n, ok := descriptor.Limit(); ok {
		attrs = append(attrs, "max_descriptors", n)
	}
	p.log.Info("serving", attrs...)
	switch why := cfg.WhyNotDevelopment(); {
	case why != "":
		p.log.Info("development mode is off", "because", why)
	case cfg.IsDevelopment() && !cfg.IsLocal():
		p.log.Warn("development mode on an address that other machines reach (--dev): every visitor can publish and sign; never use it in production")
	}
	p.notify.send("READY=1")
}

// wait returns when the server has ended.
func (p *serving) wait(ctx context.Context, done <-chan error) error {
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil { // it was asked to end, and was quicker than we
				p.notify.send("STOPPING=1")
			}
			return err
		case <-ctx.Done():
			p.notify.send("STOPPING=1")
			return <-done
		case <-p.asked:
			p.notify.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonicMicroseconds(), 10))
			p.reload(ctx)
			p.notify.send("READY=1")
		}
	}
}

// reload takes a new configuration over. One with problems changes nothing.
func (p *serving) reload(ctx context.Context) {
	cfg, err := p.cmd.load(p.env)
	if err == nil {
		err = p.server.Reload(ctx, cfg)
	}
	if err == nil {
		err = p.level.UnmarshalText([]byte(cfg.Log.Level))
	}
	if err == nil {
		return
	}
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		p.log.Error("configuration not reloaded; the server keeps the running one", "err", err)
		return
	}
	for _, problem := range wrong.Problems {
		p.log.Error("problem in the new configuration", "problem", problem.String())
	}
	p.log.Error("configuration not reloaded; the server keeps the running one", "problems", len(wrong.Problems))
}

// greet tells a developer what to do next. A secret that is not public is not
// printed: what a process prints is kept.
func greet(env *Env, cfg *config.Config, at net.Addr) {
	a := &cfg.Apps[0]
	secret := "as you have set it"
	flags := fmt.Sprintf(" --key %s --secret \"$MILLRACE_APPS_0_SECRET\"", a.Key)
	app := " --app " + a.ID
	if config.IsDevelopmentApp(a) {
		secret, flags, app = a.Secret.Reveal(), "", ""
	}
	url := "http://" + dialable(at)
	if cfg.HTTP.TLSCertFile != "" {
		url = "https://" + dialable(at)
	}
	fmt.Fprintf(env.Stdout, `
Millrace runs a development app: id %s, key %s, secret %s

  Open %s/ in two tabs, or in two more terminals:

    %[5]s subscribe --url %[4]s%[6]s my-channel
    %[5]s publish --url %[4]s%[7]s%[6]s my-channel my-event '{"hello":"world"}'

  Ctrl-C ends it.

`, a.ID, a.Key, secret, url, program(env), flags, app)
}

// dialable returns how a program on this machine reaches a listener.
func dialable(at net.Addr) string {
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return at.String()
}

// configuredLogger returns env.Log as the configuration wants it, and how to change its level.
func configuredLogger(env *Env, c config.Log) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, nil, errors.New("log.level: " + err.Error())
	}
	text := c.Format == "text" || c.Format == "auto" && isTerminal(env.Stderr)
	return newLogger(env.Stderr, text, level), level, nil
}
