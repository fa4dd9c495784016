package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/cli/command"
)

// VersionCmd prints the version.
type VersionCmd struct{ command.JSONFlag }

// Run prints which version was built with what, for which system.
func (c *VersionCmd) Run(_ context.Context, env *Env) error {
	if c.JSON {
		return command.EncodeLine(env.Stdout, map[string]string{
			"version": buildVersion(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
	}
	_, err := fmt.Fprintf(env.Stdout, "millrace %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionFlag is --version, which other programs have in place of the command.
type versionFlag bool

// BeforeReset prints the version and ends the program, before the parser misses a command.
func (versionFlag) BeforeReset(ctx context.Context, parser *kong.Kong, env *Env) error {
	if err := new(VersionCmd).Run(ctx, env); err != nil {
		return err
	}
	parser.Exit(0)
	return nil
}

// buildVersion returns what the Go tool stamped into the binary: the module's version if it was
// installed as one, else the revision it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "devel", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	return revision + dirty
}
