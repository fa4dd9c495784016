package remote

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// PublishCmd publishes one event.
type PublishCmd struct {
	appFlags
	SocketID string `name:"socket-id" help:"Socket id of a connection that must not receive the event." placeholder:"ID"`

	Channel string `arg:"" help:"Channel."`
	Event   string `arg:"" help:"Event name."`
	Data    string `arg:"" optional:"" help:"Data, usually JSON text. Without it, {}. - reads it from standard input." default:"{}"`
}

// Run publishes and says so.
func (c *PublishCmd) Run(ctx context.Context, env *command.Env) error {
	p, err := c.client(env)
	if err != nil {
		return err
	}
	data, err := command.Text(c.Data)
	if err != nil {
		return err
	}
	err = p.Publish(ctx, client.Event{Name: c.Event, Channels: []string{c.Channel}, Data: string(data), SocketID: c.SocketID})
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLine(env.Stdout, map[string]string{"published": c.Event, "channel": c.Channel})
	}
	_, err = fmt.Fprintf(env.Stdout, "published %s to %s\n", c.Event, c.Channel)
	return err
}
