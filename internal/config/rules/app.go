package rules

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// CheckApp lists everything that breaks a rule in an app on its own, as the admin API takes it.
func CheckApp(a *config.App) []config.Problem {
	var r rules
	r.document(a)
	return r.problems
}

// document checks an app on its own.
func (r *rules) document(a *config.App) {
	keys := map[string]string{}
	unique := func(path, key string) {
		if other, taken := keys[key]; taken && key != "" {
			r.report(path, config.Quote(key), other+" is the same; it must be unique")
			return
		}
		keys[key] = path
	}
	for _, required := range []struct{ key, value string }{{"id", a.ID}, {"key", a.Key}, {"secret", a.Secret.Reveal()}} {
		if required.value == "" {
			r.report(required.key, "", "missing")
		}
	}
	names := map[string]bool{a.ID: true}
	for i, alias := range a.Aliases {
		if names[alias] {
			r.report(fmt.Sprintf("aliases[%d]", i), config.Quote(alias), "names the app already")
		}
		names[alias] = true
	}
	r.revealed("secret", a.Secret)
	unique("key", a.Key)
	for i := range a.Keys {
		k, at := &a.Keys[i], fmt.Sprintf("keys[%d].", i)
		r.appKey(at, k, 0, map[string]int{})
		r.revealed(at+"secret", k.Secret)
		unique(at+"key", k.Key)
	}
	for i, w := range a.Webhooks {
		for j, header := range w.Headers {
			_, value, _ := strings.Cut(header.Reveal(), ":")
			r.revealed(fmt.Sprintf("webhooks[%d].headers[%d]", i, j), header)
			r.revealed(fmt.Sprintf("webhooks[%d].headers[%d]", i, j), config.Secret(strings.TrimSpace(value)))
		}
	}
	r.app("", a)
	r.appViews("views.", &a.Views)
	r.revealed("views.signing_key", a.Views.SigningKey)
	for _, secrets := range []struct {
		name string
		list []config.Secret
	}{{"static_tokens", a.Views.StaticTokens}, {"secret_keys", a.Views.SecretKeys}, {"publishable_keys", a.Views.PublishableKeys}} {
		for i, secret := range secrets.list {
			_, token := secret.Labelled()
			r.revealed(fmt.Sprintf("views.%s[%d]", secrets.name, i), token)
		}
	}
	for i := range a.Projections {
		r.projection(fmt.Sprintf("projections[%d].", i), &a.Projections[i])
	}
}

// revealed refuses the text that stands for a hidden secret: an operator who sends it has read a
// document without its secrets, and would overwrite them.
func (r *rules) revealed(path string, s config.Secret) {
	if s == config.Hidden {
		r.report(path, "", config.Hidden+" only stands for a secret that is not shown; leave the key out, or write the secret")
	}
}
