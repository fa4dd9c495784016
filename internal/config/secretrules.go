package config

import (
	"fmt"
	"slices"
)

// minSecret is the least length of a secret outside development, in bytes.
const minSecret = 16

// WeakSecret says what stands against a secret outside development; empty: nothing.
func WeakSecret(s Secret) string {
	const fix = `; write a random one, such as "openssl rand -hex 32" or "millrace config" prints`
	switch {
	case slices.Contains([]Secret{"app-secret", "change-me"}, s):
		return "is in the documentation, so everybody knows it" + fix
	case len(s) < minSecret:
		return fmt.Sprintf("has fewer than %d bytes, so it can be guessed%s", minSecret, fix)
	default:
		return ""
	}
}

// secrets are the rules of what signs requests and subscriptions.
func (r *rules) secrets(c *Config) {
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
	}
}

// secret leaves one that is missing to others.
func (r *rules) secret(path string, s Secret) {
	if weak := WeakSecret(s); s != "" && weak != "" {
		r.report(path, hidden, weak)
	}
}
