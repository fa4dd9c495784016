package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/config/rules"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/server"
)

// CheckCmd checks a configuration file.
type CheckCmd struct {
	command.JSONFlag
	File string `arg:"" help:"Configuration file." type:"path"`
	Dev  bool   `help:"Keep development mode, also where other machines reach the server. The file is checked as serve --dev reads it."`
}

// checked is what there is to say about a file.
type checked struct {
	File     string           `json:"file"`
	Apps     int              `json:"apps"`
	Problems []config.Problem `json:"problems"`
	Advice   []config.Problem `json:"advice"`
}

// Run lists every problem, as serve would, and so it must see the same environment. It also prints
// advice about settings that are seldom meant; advice does not make the command fail.
func (c *CheckCmd) Run(_ context.Context, env *Env) error {
	cfg, err := load.Source{Path: c.File, Environ: env.ServerEnviron(), Dev: c.Dev}.Load(provision.Check, server.CheckFiles)
	if wrong, ok := errors.AsType[*config.Error](err); ok && c.JSON {
		return errors.Join(command.EncodeLine(env.Stdout, checked{File: c.File, Problems: wrong.Problems, Advice: []config.Problem{}}), command.ErrReported)
	}
	if err != nil {
		return err
	}
	advice := append(rules.Advise(cfg), exposed(c.File, cfg)...)
	if c.JSON {
		return command.EncodeLine(env.Stdout, checked{
			File: c.File, Apps: len(cfg.Apps), Problems: []config.Problem{}, Advice: append([]config.Problem{}, advice...),
		})
	}
	noun := "apps"
	if len(cfg.Apps) == 1 {
		noun = "app"
	}
	if _, err = fmt.Fprintf(env.Stdout, "%s: good, %d %s\n", c.File, len(cfg.Apps), noun); err != nil {
		return err
	}
	for _, a := range advice {
		if _, err := fmt.Fprintf(env.Stdout, "warning: %s\n", a); err != nil {
			return err
		}
	}
	return nil
}
