package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// SubscribeCmd prints the events of channels until it is interrupted.
type SubscribeCmd struct {
	appFlags
	User     string `help:"Id of a user. On presence channels, the member to be." placeholder:"ID"`
	UserInfo string `name:"user-info" help:"What a presence channel is told about the user." placeholder:"JSON"`
	Count    int    `help:"Number of events after which the command ends." placeholder:"N"`

	Channels []string `arg:"" help:"Channels. Names that begin with private- or presence- are signed with the secret."`
}

// Run prints until ctx ends, which is how it usually does.
func (c *SubscribeCmd) Run(ctx context.Context, env *command.Env) error {
	if c.UserInfo != "" && c.User == "" {
		return command.Usagef("--user-info needs --user: it is about the user")
	}
	for _, name := range c.Channels {
		if strings.HasPrefix(name, "presence-") && c.User == "" {
			return command.Usagef("%s has members: give the id of the member to be, with --user", name)
		}
	}
	s, err := c.client(env)
	if err != nil {
		return err
	}
	var member *client.Member
	if c.User != "" {
		member = &client.Member{UserID: c.User}
		if c.UserInfo != "" {
			if !json.Valid([]byte(c.UserInfo)) {
				return command.Usagef("--user-info %s is not JSON; write an object, such as {\"name\":\"Ann\"}", c.UserInfo)
			}
			member.Info = json.RawMessage(c.UserInfo)
		}
	}
	if c.Count < 0 {
		return command.Usagef("--count %d is below zero; give how many events to print, or leave it out to print all", c.Count)
	}
	return stream(ctx, c.Count, func(ctx context.Context, p *printer) error {
		return s.Subscribe(ctx, c.Channels, member, func(m client.Message) {
			p.print(func() error { return c.print(env, m) })
		})
	})
}

func (c *SubscribeCmd) print(env *command.Env, m client.Message) error {
	if c.JSON {
		return json.NewEncoder(env.Stdout).Encode(m)
	}
	_, err := fmt.Fprintf(env.Stdout, "%s  %s  %s\n", m.Channel, command.Cell(m.Event), command.Cell(m.Data))
	return err
}
