package rules

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/config"
)

// minSecret is the least length of a secret outside development, in bytes.
const minSecret = 16

// WeakSecret says what stands against a secret outside development; empty: nothing.
func WeakSecret(s config.Secret) string {
	const fix = `; write a random one, such as "openssl rand -hex 32" or "millrace config" prints`
	switch {
	case slices.Contains([]config.Secret{"app-secret", "change-me"}, s):
		return "is in the documentation, so it is no secret" + fix
	case len(s) < minSecret:
		return fmt.Sprintf("has fewer than %d bytes, so it can be guessed%s", minSecret, fix)
	default:
		return ""
	}
}

// secrets are the rules of what signs requests and subscriptions, and of what lets readers of views in.
func (r *rules) secrets(c *config.Config) {
	if c.IsDevelopment() {
		return
	}
	r.secret("admin.secret", c.Admin.Secret)
	for i := range c.Apps {
		a := &c.Apps[i]
		r.secret(fmt.Sprintf("apps[%d].secret", i), a.Secret)
		for j, k := range a.Keys {
			r.secret(fmt.Sprintf("apps[%d].keys[%d].secret", i, j), k.Secret)
		}
		for _, s := range a.Views.Secrets() {
			r.secret(fmt.Sprintf("apps[%d].%s", i, s.Path), s.Secret)
		}
	}
}

// secret checks one secret. A missing one is left to other rules.
func (r *rules) secret(path string, s config.Secret) {
	if weak := WeakSecret(s); s != "" && weak != "" {
		r.report(path, config.Hidden, weak)
	}
}
