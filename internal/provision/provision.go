// Package provision makes what a node serves of an app from the settings of the app: its record, its
// webhooks, the authenticator and the minter of its views, its rules and definitions. It says which
// settings an app cannot be made of, with the key of each.
//
// It must never know which apps are served, a connection or a store: package server installs what is
// made here. It is pure but for key sets, which an authenticator fetches later; it starts no goroutine.
package provision

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
	"github.com/millrace/millrace/internal/directory"
)

// Check lists what keeps the apps of c from being made, and what else config/rules cannot judge, such as
// origins. It is a load.Check.
func Check(c *config.Config) []config.Problem {
	problems := checkOrigins("http.cors_origins", c.HTTP.CORSOrigins)
	for i := range c.Apps {
		at := fmt.Sprintf("apps[%d].", i)
		problems = append(problems, checkApp(at, &c.Apps[i])...)
	}
	return problems
}

// checkApp lists what keeps one app from being made, wherever it is kept.
func checkApp(at string, c *config.App) []config.Problem {
	problems := checkOrigins(at+"allowed_origins", c.AllowedOrigins)
	problems = append(problems, checkWebhooks(at, c)...)
	for _, p := range app.Validate(convert(c, app.Origins{})) {
		problems = append(problems, config.Problem{Path: at + configKey(p.Field), Message: p.Message})
	}
	problems = append(problems, checkViews(at, c)...)
	return append(problems, checkProjections(at, c)...)
}

func checkOrigins(at string, entries []string) []config.Problem {
	var problems []config.Problem
	for i, entry := range entries {
		if _, err := app.ParseOrigins([]string{entry}); err != nil {
			problems = append(problems, config.Problem{
				Path:    fmt.Sprintf("%s[%d]", at, i),
				Value:   strconv.Quote(entry),
				Message: withoutEntry(err.Error(), entry),
			})
		}
	}
	return problems
}

// Maker makes apps from their settings.
type Maker struct {
	Views *ViewTools // nil: views are turned off, and apps have none
}

// File returns the apps that c configures, or an error with every problem.
func (m *Maker) File(c *config.Config) ([]directory.Parsed, error) {
	if problems := Check(c); len(problems) > 0 {
		return nil, &config.Error{Source: "configuration", Problems: problems}
	}
	list := make([]directory.Parsed, len(c.Apps))
	for i := range c.Apps {
		var err error
		if list[i], err = m.app(&c.Apps[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// app makes an app; its Rest is a *Views, if views are turned on.
func (m *Maker) app(c *config.App) (directory.Parsed, error) {
	origins, err := app.ParseOrigins(c.AllowedOrigins)
	if err != nil {
		return directory.Parsed{}, err
	}
	p := directory.Parsed{
		App: convert(c, origins), Document: appdoc.Write(c, true), Shown: appdoc.Write(c, false),
	}
	for _, secret := range c.Views.Secrets() {
		p.Secrets = append(p.Secrets, directory.Secret{Path: secret.Path, Value: secret.Secret.Reveal()})
	}
	if m.Views != nil {
		p.Rest, err = m.Views.views(c)
	}
	return p, err
}
