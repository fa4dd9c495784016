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

// secrets are the rules of what signs requests and subscriptions, and of what lets readers of views in.
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
		for _, s := range a.Views.Secrets() {
			r.secret(fmt.Sprintf("apps[%d].%s", i, s.Path), s.Secret)
		}
	}
}

// PathSecret is a secret of an app, and where in the app it stands.
type PathSecret struct {
	Path   string
	Secret Secret
}

// Secrets lists those texts of v that let in, or mint tokens for, any client that guesses one.
// Publishable keys are none: pages show them.
func (v *AppViews) Secrets() []PathSecret {
	var list []PathSecret
	for i, labelled := range v.StaticTokens {
		_, token := labelled.Labelled()
		list = append(list, PathSecret{fmt.Sprintf("views.static_tokens[%d]", i), token})
	}
	for i, key := range v.SecretKeys {
		list = append(list, PathSecret{fmt.Sprintf("views.secret_keys[%d]", i), key})
	}
	return list
}

// secret leaves one that is missing to others.
func (r *rules) secret(path string, s Secret) {
	if weak := WeakSecret(s); s != "" && weak != "" {
		r.report(path, hidden, weak)
	}
}
