package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Check finds problems in a configuration that only packages above this one can see, such
// as an origin that cannot be parsed.
type Check func(*Config) []Problem

// Load reads the file at path, then the environment (os.Environ), and checks the result.
// Without a path it starts from Development instead of a file. An unreadable file is an
// error of package os; everything else wrong is one *Error that names every problem.
func Load(path string, environ []string, checks ...Check) (*Config, error) {
	if path == "" {
		return finish(Development(), &binder{}, "configuration", environ, checks)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, b := Default(), &binder{}
	var table map[string]any
	if err := toml.Unmarshal(text, &table); err != nil {
		b.environment(Default(), environ)
		ofApps := func(p Problem) bool { return strings.HasPrefix(p.Path, prefix+"APPS_") } // which there are cannot be known
		return nil, &Error{path, append([]Problem{syntaxProblem(err)}, slices.DeleteFunc(b.problems, ofApps)...)}
	}
	b.table("", reflect.ValueOf(c).Elem(), table)
	return finish(c, b, path, environ, checks)
}

// finish applies the environment, then the limits that apps leave out, then the rules. A key
// that could not be read has kept its default; it gets no second problem for that, and what is
// wrong with [app_defaults] none for each app.
func finish(c *Config, b *binder, source string, environ []string, checks []Check) (*Config, error) {
	b.environment(c, environ)
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
