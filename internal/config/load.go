package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Check finds problems in a configuration that only packages above this one can see, such
// as an origin that cannot be parsed.
type Check func(*Config) []Problem

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

// Load is [Source.Load] of a file and an environment.
func Load(path string, environ []string, checks ...Check) (*Config, error) {
	return Source{Path: path, Environ: environ}.Load(checks...)
}

// Load reads the file, then the environment, and checks the result. An unreadable file is an
// error of package os; everything else wrong is one *Error that names every problem.
func (s Source) Load(checks ...Check) (*Config, error) {
	if s.Path == "" {
		return s.finish(s.base(), &binder{}, "configuration", checks)
	}
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, b := Default(), &binder{}
	var table map[string]any
	if err := toml.Unmarshal(text, &table); err != nil {
		b.environment(Default(), s.Environ)
		ofApps := func(p Problem) bool { return strings.HasPrefix(p.Path, prefix+"APPS_") } // which there are cannot be known
		return nil, &Error{s.Path, append([]Problem{syntaxProblem(err)}, slices.DeleteFunc(b.problems, ofApps)...)}
	}
	b.table("", reflect.ValueOf(c).Elem(), table)
	_, hasApps := table["apps"]
	c.hasNoApps = !hasApps
	return s.finish(c, b, s.Path, checks)
}

// finish applies the environment, then the limits that apps leave out, then the rules. A key
// that could not be read has kept its default; it gets no second problem for that, and a problem of
// [app_defaults] is not repeated for each app.
func (s *Source) finish(c *Config, b *binder, source string, checks []Check) (*Config, error) {
	c.dev, c.inherited = s.Dev, inheritedAddress(s.Listener)
	b.environment(c, s.Environ)
	if s.Dev {
		c.Development.Page = true
	}
	for i := range c.Apps {
		at := fmt.Sprintf("apps[%d]", i)
		c.Apps[i].inherit(&c.AppDefaults, func(key string) bool { return b.given[join(at, key)] })
	}
	for _, check := range append([]Check{(*Config).Validate}, checks...) {
		for _, p := range check(c) {
			p.Path = c.sourceOf(p.Path)
			if !slices.ContainsFunc(b.problems, func(q Problem) bool { return q.Path == p.Path }) {
				b.problems = append(b.problems, p)
			}
		}
	}
	if len(b.problems) > 0 {
		return nil, &Error{source, b.problems}
	}
	return c, nil
}

func syntaxProblem(err error) Problem {
	var decode *toml.DecodeError
	if !errors.As(err, &decode) {
		return Problem{Path: "file", Message: err.Error()}
	}
	row, column := decode.Position()
	return Problem{
		Path:    fmt.Sprintf("line %d, column %d", row, column),
		Message: "not TOML: " + strings.TrimPrefix(decode.Error(), "toml: "),
	}
}
