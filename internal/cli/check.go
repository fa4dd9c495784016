package cli

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
)

// CheckCmd checks a configuration file.
type CheckCmd struct {
	File string `arg:"" help:"Configuration file." type:"path"`
	Dev  bool   `help:"As serve --dev takes it."`
}

// Run lists every problem, as serve would, and so it must see the same environment.
func (c *CheckCmd) Run(_ context.Context, env *Env) error {
	cfg, err := config.Source{Path: c.File, Environ: env.Environ, Dev: c.Dev}.Load(server.Check, server.CheckFiles)
	if err != nil {
		return err
	}
	noun := "apps"
	if len(cfg.Apps) == 1 {
		noun = "app"
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: good, %d %s\n", c.File, len(cfg.Apps), noun)
	return err
}
