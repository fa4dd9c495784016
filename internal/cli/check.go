package cli

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/config/rules"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/server"
)

// CheckCmd checks a configuration file.
type CheckCmd struct {
	File string `arg:"" help:"Configuration file." type:"path"`
	Dev  bool   `help:"Check the file as serve --dev reads it."`
}

// Run lists every problem, as serve would, and so it must see the same environment. It also prints
// advice about settings that are seldom meant; advice does not make the command fail.
func (c *CheckCmd) Run(_ context.Context, env *Env) error {
	cfg, err := load.Source{Path: c.File, Environ: env.Environ, Dev: c.Dev}.Load(provision.Check, server.CheckFiles)
	if err != nil {
		return err
	}
	noun := "apps"
	if len(cfg.Apps) == 1 {
		noun = "app"
	}
	if _, err = fmt.Fprintf(env.Stdout, "%s: good, %d %s\n", c.File, len(cfg.Apps), noun); err != nil {
		return err
	}
	for _, advice := range rules.Advise(cfg) {
		if _, err := fmt.Fprintf(env.Stdout, "warning: %s\n", advice); err != nil {
			return err
		}
	}
	return nil
}
