package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// developmentListen is where the development app listens unless told otherwise.
const developmentListen = "127.0.0.1:6001"

// Development is what runs without a file: one app with well-known credentials, reachable
// from this machine only, the page, and views that are open to all.
func Development() *Config {
	c := Default()
	c.HTTP.Listen = developmentListen
	c.Development.Page = true
	a := DefaultApp()
	a.ID, a.Key, a.Secret = "app-id", "app-key", "app-secret"
	a.Aliases = []string{"1"} // some server libraries take numbers only
	a.ClientEvents, a.SignIn, a.Watchlists = true, true, true
	a.Views.Auth = "open"
	c.Views.ReportUnknownViews = true
	c.Apps = []App{a}
	return c
}

// IsDevelopmentApp reports whether a has the credentials of the app of development, which are public.
func IsDevelopmentApp(a *App) bool {
	b := &Development().Apps[0]
	return a.ID == b.ID && a.Key == b.Key && a.Secret == b.Secret
}

// IsDevelopment reports whether c is for trying things out: the page is served, to every browser that
// reaches it, and secrets may be well known.
func (c *Config) IsDevelopment() bool {
	return c.Development.Page && (c.dev || c.IsLocal())
}

// IsLocal reports whether only this machine can reach the listener for clients. A unix socket is
// not local: it is there for a proxy, which passes on what comes from elsewhere.
func (c *Config) IsLocal() bool { return isLoopback(c.clientAddress()) }

// clientAddress is where clients are served: the listener that was inherited, or http.listen.
func (c *Config) clientAddress() string {
	if c.inherited != "" {
		return c.inherited
	}
	return c.HTTP.Listen
}

// WhyNotDevelopment says, without a file, what has ended development mode; empty otherwise.
func (c *Config) WhyNotDevelopment() string { return c.ended }

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// inheritedAddress is how an inherited listener is written in http.listen.
func inheritedAddress(a net.Addr) string {
	switch {
	case a == nil:
		return ""
	case a.Network() == "unix":
		return unixPrefix + a.String()
	default:
		return a.String()
	}
}

// base is the configuration that the environment is applied to when there is no file: the
// development configuration, unless a setting says that the server is for others than the developer.
func (s *Source) base() *Config {
	c := Development()
	if s.Dev {
		c.Apps[0].yieldAliases(s.Environ)
		return c
	}
	listen, registry := developmentListen, ""
	for _, entry := range s.Environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case name == prefix+"HTTP_LISTEN":
			listen = value // of a repeated one the last counts
		case name == prefix+"REGISTRY_DRIVER":
			registry = value
		case isCredentialOfApp(name):
			c.ended = name + " sets an app"
		}
	}
	if s.Listener != nil {
		listen = inheritedAddress(s.Listener)
	}
	switch {
	case c.ended != "":
	case registry != "" && registry != "none":
		c.ended = prefix + "REGISTRY_DRIVER says that apps are kept elsewhere"
	case !isLoopback(listen):
		c.ended = fmt.Sprintf("http.listen = %s can be reached from other machines", quote(listen))
	}
	if c.ended == "" {
		return c
	}
	production := Default()
	production.ended = c.ended
	return production
}

// yieldAliases takes the ids that the environment gives to apps from the aliases of a.
func (a *App) yieldAliases(environ []string) {
	for _, entry := range environ {
		name, id, _ := strings.Cut(entry, "=")
		if n, ok := appOf(name); ok && name == fmt.Sprintf("%sAPPS_%d_ID", prefix, n) {
			a.Aliases = slices.DeleteFunc(a.Aliases, func(alias string) bool { return alias == id })
		}
	}
}

// isCredentialOfApp reports whether a variable replaces the development app: it has the id, the key
// or the secret of the first app, or any setting of a further app.
func isCredentialOfApp(name string) bool {
	n, ok := appOf(name)
	return ok && (n > 0 || slices.Contains([]string{"ID", "KEY", "SECRET"}, strings.TrimPrefix(name, prefix+"APPS_0_")))
}

// noApp is what to do without any app.
func (c *Config) noApp() string {
	const own = "set MILLRACE_APPS_0_ID, MILLRACE_APPS_0_KEY and MILLRACE_APPS_0_SECRET"
	if c.ended == "" {
		return "none, so no client could connect; add [[apps]] with id, key and secret, or " + own
	}
	return "none: " + c.ended + ", so the development app, whose secret is public, does not run; " + own +
		" for an app of your own, or give --dev to keep development mode, in a container or for a phone in the office"
}

// development are the rules of the page.
func (r *rules) development(c *Config) {
	if c.Development.Page && !c.IsDevelopment() {
		r.report("development.page", "true", fmt.Sprintf("the page signs for every visitor, and http.listen = %s can be reached "+
			"from other machines; listen on 127.0.0.1, or give --dev to keep development mode on any listener", quote(c.clientAddress())))
	}
	for i, origin := range c.Development.Origins {
		if u, err := url.Parse(origin); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			r.report(fmt.Sprintf("development.origins[%d]", i), quote(origin),
				`not an origin; write scheme, host and port as the browser shows them, such as "http://localhost:5173"`)
		}
	}
}
