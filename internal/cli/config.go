package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/reference"
)

// ConfigCmd prints the reference of the configuration, with credentials that are made for it.
type ConfigCmd struct{}

// Run prints it, and says on standard error which machines reach a server that is run with it, and who may
// read it.
func (ConfigCmd) Run(_ context.Context, env *Env) error {
	if _, err := io.WriteString(env.Stdout, reference.File()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.Stderr, "With this file the server listens on %s, which other machines can reach; "+
		"set http.listen to \"127.0.0.1:6001\" if only this machine should.\n"+
		"It has a secret: keep it from other users of the machine (\"chmod 600\").\n", config.Default().HTTP.Listen)
	return err
}
