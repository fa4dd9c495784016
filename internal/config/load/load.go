// Package load reads a configuration: a TOML file, the environment over it, and without a file what
// development needs. It applies the rules of config/rules and returns every problem at once.
//
// It must never know what a setting does. It reads the file that it is given and nothing else; it
// starts no goroutine.
package load

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/bind"
	"github.com/millrace/millrace/internal/config/rules"
)

// Check finds problems in a configuration that only packages above this one can see, such
// as an origin that cannot be parsed.
type Check func(*config.Config) []config.Problem

// Source is where a configuration comes from.
type Source struct {
	// Path of the TOML file. Without one the development app runs, unless the environment has an
	// app or a registry, or clients are served where other machines reach them.
	Path    string
	Environ []string // as os.Environ

	// Dev keeps development mode, whatever would end it, and serves the page of a file's first app.
	Dev bool
	// Listener is the address at which clients are served instead of http.listen; nil: there.
	Listener net.Addr
}

// File is [Source.Load] of a file and an environment.
func File(path string, environ []string, checks ...Check) (*config.Config, error) {
	return Source{Path: path, Environ: environ}.Load(checks...)
}

// Load reads the file, then the environment, and checks the result. An unreadable file is an
// error of package os; everything else wrong is one *Error that names every problem.
func (s Source) Load(checks ...Check) (*config.Config, error) {
	if s.Path == "" {
		return s.finish(s.base(), &bind.Binder{}, "configuration", checks)
	}
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, b := config.Default(), &bind.Binder{}
	var table map[string]any
	if err := toml.Unmarshal(text, &table); err != nil {
		environment(b, config.Default(), s.Environ)
		ofApps := func(p config.Problem) bool { return strings.HasPrefix(p.Path, prefix+"APPS_") } // which there are cannot be known
		return nil, &config.Error{Source: s.Path, Problems: append([]config.Problem{syntaxProblem(err)}, slices.DeleteFunc(b.Problems, ofApps)...)}
	}
	b.Table("", reflect.ValueOf(c).Elem(), table)
	_, hasApps := table["apps"]
	c.SetOrigin(config.Origin{HasNoApps: !hasApps})
	return s.finish(c, b, s.Path, checks)
}

// finish applies the environment, then the limits that apps leave out, then the rules. A key
// that could not be read has kept its default; it gets no second problem for that, and a problem of
// [app_defaults] is not repeated for each app.
func (s *Source) finish(c *config.Config, b *bind.Binder, source string, checks []Check) (*config.Config, error) {
	origin := c.Origin()
	origin.Dev, origin.Listener = s.Dev, inheritedAddress(s.Listener)
	c.SetOrigin(origin)
	environment(b, c, s.Environ)
	if s.Dev {
		c.Development.Page = true
	}
	if s.Path == "" && origin.Ended == "" && c.Store.Driver == "embedded" { // development, where there is a disk
		d := &c.AppDefaults
		d.History = d.History || !b.IsGiven("app_defaults.history")
		d.Recovery = d.Recovery || !b.IsGiven("app_defaults.recovery")
	}
	for i := range c.Apps {
		at := fmt.Sprintf("apps[%d]", i)
		c.Apps[i].Inherit(&c.AppDefaults, func(key string) bool { return b.IsGiven(config.Join(at, key)) })
	}
	for _, check := range append([]Check{rules.Check}, checks...) {
		for _, p := range check(c) {
			p.Path = c.SourceOf(p.Path)
			if !slices.ContainsFunc(b.Problems, func(q config.Problem) bool { return q.Path == p.Path }) {
				b.Problems = append(b.Problems, p)
			}
		}
	}
	if len(b.Problems) > 0 {
		return nil, &config.Error{Source: source, Problems: b.Problems}
	}
	return c, nil
}

func syntaxProblem(err error) config.Problem {
	var decode *toml.DecodeError
	if !errors.As(err, &decode) {
		return config.Problem{Path: "file", Message: err.Error()}
	}
	row, column := decode.Position()
	return config.Problem{
		Path:    fmt.Sprintf("line %d, column %d", row, column),
		Message: "not TOML: " + strings.TrimPrefix(decode.Error(), "toml: "),
	}
}
