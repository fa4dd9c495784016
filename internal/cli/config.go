package cli

import (
	"context"
	"io"

	"github.com/millrace/millrace/internal/config"
)

// ConfigCmd prints the reference of the configuration, with credentials that are made for it.
type ConfigCmd struct{}

func (ConfigCmd) Run(_ context.Context, env *Env) error {
	_, err := io.WriteString(env.Stdout, config.Reference())
	return err
}
