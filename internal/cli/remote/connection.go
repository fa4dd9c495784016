// Package remote has the commands that talk to a server: they publish and subscribe, feed and watch views,
// look after apps, connections, webhooks and users, and put load on it. It knows how a command finds its
// server and its credentials: by a flag, then a variable, then a context.
//
// It must never know how a server is run. It starts no goroutine: a command runs on the goroutine of its
// caller until it is done or its context ends.
package remote

import (
	"cmp"
	"fmt"
	"net"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/contexts"
	"github.com/millrace/millrace/internal/provision"
)

// adminKeyVariable and adminSecretVariable are also settings of the server.
const (
	adminKeyVariable    = "MILLRACE_ADMIN_KEY"
	adminSecretVariable = "MILLRACE_ADMIN_SECRET"
)

// serverFlags are on every command that talks to a server.
type serverFlags struct {
	command.JSONFlag
	URL     string `help:"URL of the server. By default MILLRACE_URL, then the context, then http://127.0.0.1:6001." placeholder:"URL"`
	Context string `help:"Context of the server and the credentials. It counts where no flag and no variable does. By default MILLRACE_CONTEXT, then the current context." placeholder:"NAME"`
}

// appFlags are on every command that talks to a server about one app.
type appFlags struct {
	serverFlags
	App    string `help:"Id of the app. By default MILLRACE_APP, then the context, then app-id." placeholder:"ID"`
	Key    string `help:"Key of the app. By default MILLRACE_KEY, then the context, then app-key." placeholder:"KEY"`
	Secret string `help:"Secret of the key. By default MILLRACE_SECRET, then the context, then app-secret." placeholder:"SECRET"`
}

// adminFlags are on every command that talks to the admin API of a server.
type adminFlags struct {
	serverFlags
	Config      string `help:"Configuration file of the server. Its address and its admin credentials are used." placeholder:"FILE" type:"path"`
	AdminKey    string `help:"Key of the operator. By default MILLRACE_ADMIN_KEY, then the key of --config, then the context." placeholder:"KEY"`
	AdminSecret string `help:"Secret of the operator. By default MILLRACE_ADMIN_SECRET, then the secret of --config, then the context." placeholder:"SECRET"`
}

// setting is a value that a command uses, and where it comes from.
type setting struct{ value, from string }

// target is the server that a command talks to, and who asks.
type target struct{ url, app, key, secret setting }

// String says where each part comes from, and no secret.
func (t *target) String() string {
	text := fmt.Sprintf("server %s (%s)", t.url.value, t.url.from)
	if t.app.value != "" {
		text += fmt.Sprintf(", app %s (%s)", t.app.value, t.app.from)
	}
	return text + fmt.Sprintf(", key %s (%s), secret (%s)", t.key.value, t.key.from, t.secret.from)
}

// chooser finds the settings of a command: a flag counts before a variable, a variable before the
// context, and the context before what the development app has.
type chooser struct {
	env     *command.Env
	context contexts.Context
	name    string // of context; empty: there is none
}

// chooser finds the context. A command whose server is named otherwise takes nothing from the current
// context, only from one that is named: the credentials of one server are not for another.
func (f *serverFlags) chooser(env *command.Env) (*chooser, error) {
	c := &chooser{env: env, name: cmp.Or(f.Context, env.Variable(command.ContextVariable))}
	if c.name == "" && (f.URL != "" || env.Variable(command.URLVariable) != "") {
		return c, nil
	}
	file, err := contexts.Read(contexts.Path(env.Variable))
	if err != nil {
		return nil, err
	}
	if c.name == "" {
		c.name = file.Current
	}
	if c.name == "" {
		return c, nil
	}
	var ok bool
	if c.context, ok = file.Contexts[c.name]; !ok {
		return nil, command.Usagef("there is no context %q; \"millrace context list\" shows those there are, and \"millrace context set %s\" makes it", c.name, c.name)
	}
	return c, nil
}

func (c *chooser) choose(flag, value, variable, inContext, fallback string) setting {
	switch v := c.env.Variable(variable); {
	case value != "":
		return setting{value, "--" + flag}
	case v != "":
		return setting{v, variable}
	case inContext != "":
		return setting{inContext, "context " + c.name}
	default:
		return setting{fallback, "default"}
	}
}

func (c *chooser) url(flag string) setting {
	return c.choose("url", flag, command.URLVariable, c.context.URL, "http://127.0.0.1:6001")
}

// client is for requests and connections with the credentials of an app.
func (f *appFlags) client(env *command.Env) (*client.Client, error) {
	t, err := f.target(env)
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Options{URL: t.url.value, App: t.app.value, Key: t.key.value, Secret: t.secret.value, Log: env.Log})
	if err != nil {
		return nil, command.Usagef("%s", err.Error())
	}
	return c, nil
}

// target finds the server and the credentials of an app.
func (f *appFlags) target(env *command.Env) (*target, error) {
	c, err := f.chooser(env)
	if err != nil {
		return nil, err
	}
	t := &target{
		url:    c.url(f.URL),
		app:    c.choose("app", f.App, command.AppVariable, c.context.App, "app-id"),
		key:    c.choose("key", f.Key, command.KeyVariable, c.context.Key, "app-key"),
		secret: c.choose("secret", f.Secret, command.SecretVariable, c.context.Secret, "app-secret"),
	}
	env.Asks(t)
	return t, nil
}

// client is for requests to the admin API.
func (f *adminFlags) client(env *command.Env) (*client.Admin, error) {
	c, err := f.chooser(env)
	if err != nil {
		return nil, err
	}
	t := &target{
		url:    c.url(f.URL),
		key:    c.choose("admin-key", f.AdminKey, adminKeyVariable, c.context.AdminKey, ""),
		secret: c.choose("admin-secret", f.AdminSecret, adminSecretVariable, c.context.AdminSecret, ""),
	}
	if f.Config != "" {
		if err := f.configured(env, t); err != nil {
			return nil, err
		}
	}
	if t.key.value == "" || t.secret.value == "" {
		return nil, command.Usagef("the admin credentials are missing: give --config with [admin], or --admin-key and --admin-secret, or set %s and %s, or put them in a context (\"millrace context set NAME --admin-key KEY --admin-secret -\")", adminKeyVariable, adminSecretVariable)
	}
	env.Asks(t)
	a, err := client.NewAdmin(client.Options{URL: t.url.value, Key: t.key.value, Secret: t.secret.value})
	if err != nil {
		return nil, command.Usagef("%s", err.Error())
	}
	return a, nil
}

// configured takes from the configuration file of the server what no flag names.
func (f *adminFlags) configured(env *command.Env, t *target) error {
	// As for development, so that a server that runs with --dev can be asked, too.
	cfg, err := load.Source{Path: f.Config, Environ: env.ServerEnviron(), Dev: true}.Load(provision.Check)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		setting          *setting
		flag, configured string
		variable         string // overrides the file, as for the server; empty: none does
	}{
		{&t.key, f.AdminKey, cfg.Admin.Key, adminKeyVariable},
		{&t.secret, f.AdminSecret, cfg.Admin.Secret.Reveal(), adminSecretVariable},
		{&t.url, f.URL, adminURL(cfg), ""},
	} {
		isOverridden := s.variable != "" && env.Variable(s.variable) != ""
		if s.flag == "" && s.configured != "" && !isOverridden {
			*s.setting = setting{s.configured, "--config"}
		}
	}
	return nil
}

// adminURL is where a configuration serves the admin API, empty if that is no TCP address.
func adminURL(cfg *config.Config) string {
	listen, certificate := cfg.HTTP.Listen, cfg.HTTP.TLSCertFile
	if cfg.Admin.Private {
		listen, certificate = cfg.Metrics.Listen, cfg.Metrics.TLSCertFile
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if certificate != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
