package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/internal/client"
)

// PublishCmd publishes one event.
type PublishCmd struct {
	URL      string `help:"Server." default:"http://127.0.0.1:6001"`
	App      string `help:"App id." default:"app-id"`
	Key      string `help:"App key." default:"app-key"`
	Secret   string `help:"App secret." default:"app-secret"`
	SocketID string `name:"socket-id" help:"Socket id of a connection that must not receive the event." placeholder:"ID"`

	Channel string `arg:"" help:"Channel."`
	Event   string `arg:"" help:"Event name."`
	Data    string `arg:"" optional:"" help:"Data, usually JSON text; - reads it from standard input." default:"{}"`
}

// Run publishes and says so.
func (c *PublishCmd) Run(ctx context.Context, env *Env) error {
	p, err := client.New(client.Options{URL: c.URL, App: c.App, Key: c.Key, Secret: c.Secret, Log: env.Log})
	if err != nil {
		return err
	}
	data := c.Data
	if data == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		data = string(text)
	}
	err = p.Publish(ctx, client.Event{Name: c.Event, Channels: []string{c.Channel}, Data: data, SocketID: c.SocketID})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "published %s to %s\n", c.Event, c.Channel)
	return err
}
