package load

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// inheritedAddress returns how an inherited listener is written in http.listen.
func inheritedAddress(a net.Addr) string {
	switch {
	case a == nil:
		return ""
	case a.Network() == "unix":
		return config.UnixPrefix + a.String()
	default:
		return a.String()
	}
}

// base returns the configuration that the environment is applied to when there is no file: the
// development configuration, unless a setting says that the server is for others than the developer.
func (s *Source) base() *config.Config {
	c := config.Development()
	if s.Dev {
		yieldAliases(&c.Apps[0], s.Environ)
		return c
	}
	listen, registry, ended := c.HTTP.Listen, "", ""
	for _, entry := range s.Environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case name == prefix+"HTTP_LISTEN":
			listen = value // of a repeated one the last counts
		case name == prefix+"REGISTRY_DRIVER":
			registry = value
		case isCredentialOfApp(name):
			ended = name + " sets an app"
		}
	}
	if s.Listener != nil {
		listen = inheritedAddress(s.Listener)
	}
	switch {
	case ended != "":
	case registry != "" && registry != "none":
		ended = prefix + "REGISTRY_DRIVER says that apps are kept elsewhere"
	case !config.IsLoopback(listen):
		ended = fmt.Sprintf("http.listen = %s can be reached from other machines", config.Quote(listen))
	}
	if ended == "" {
		return c
	}
	production := config.Default()
	production.SetOrigin(config.Origin{Ended: ended})
	return production
}

// yieldAliases takes the ids that the environment gives to apps from the aliases of a.
func yieldAliases(a *config.App, environ []string) {
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
