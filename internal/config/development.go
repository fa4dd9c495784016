package config

import (
	"net"
	"net/netip"
	"strings"
)

// VariablePrefix begins every environment variable that sets a key: MILLRACE_HTTP_LISTEN sets
// http.listen, MILLRACE_APPS_0_SECRET sets apps[0].secret.
const VariablePrefix = "MILLRACE_"

// UnixPrefix begins an address that is a socket at a path.
const UnixPrefix = "unix:"

// Development returns what runs without a file: one app with well-known credentials, reachable
// from this machine only, the page, and views that are open to all.
func Development() *Config {
	c := Default()
	c.HTTP.Listen = "127.0.0.1:6001"
	c.Development.Page = true
	a := DefaultApp()
	a.ID, a.Key, a.Secret = "app-id", "app-key", "app-secret"
	a.Aliases = []string{"1"} // some server libraries take numbers only
	a.ClientEvents, a.SignIn, a.Watchlists = true, true, true
	a.Views.Auth = "open"
	c.Views.ReportUnknownViews = true
	c.AppDefaults.HistoryMaxMessages, c.History.MaxBytes = 1000, DiskSize(GB) // where history is on
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
	return c.Development.Page && (c.origin.Dev || c.IsLocal())
}

// IsLocal reports whether only this machine can reach the listener for clients. A unix socket is
// not local: it is there for a proxy, which passes on what comes from elsewhere.
func (c *Config) IsLocal() bool { return IsLoopback(c.ClientAddress()) }

// ClientAddress returns where clients are served: the listener that was inherited, or http.listen.
func (c *Config) ClientAddress() string {
	if c.origin.Listener != "" {
		return c.origin.Listener
	}
	return c.HTTP.Listen
}

// WhyNotDevelopment says, without a file, what has ended development mode; empty otherwise.
func (c *Config) WhyNotDevelopment() string { return c.origin.Ended }

// IsLoopback reports whether only this machine reaches an address of host and port.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
