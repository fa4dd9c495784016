package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/client"
)

// SubscribeCmd prints the events of channels until it is interrupted.
type SubscribeCmd struct {
	URL      string `help:"Server." default:"http://127.0.0.1:6001"`
	Key      string `help:"App key." default:"app-key"`
	Secret   string `help:"App secret, for private and presence channels." default:"app-secret"`
	User     string `help:"User id on presence channels." placeholder:"ID"`
	UserInfo string `name:"user-info" help:"User info on presence channels." placeholder:"JSON"`
	JSON     bool   `name:"json" help:"One JSON object per line."`
	Count    int    `help:"End after this many events." placeholder:"N"`

	Channels []string `arg:"" help:"Channels."`
}

// errEnough ends a subscription that has printed what it was asked for.
var errEnough = errors.New("enough events")

// Run prints until ctx ends, which is how it usually does.
func (c *SubscribeCmd) Run(ctx context.Context, env *Env) error {
	s, err := client.New(client.Options{URL: c.URL, Key: c.Key, Secret: c.Secret, Log: env.Log})
	if err != nil {
		return err
	}
	var member *client.Member
	if c.User != "" {
		member = &client.Member{UserID: c.User}
		if c.UserInfo != "" {
			if !json.Valid([]byte(c.UserInfo)) {
				return fmt.Errorf("--user-info %s: not JSON", c.UserInfo)
			}
			member.Info = json.RawMessage(c.UserInfo)
		}
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	printed := 0
	err = s.Subscribe(running, c.Channels, member, func(m client.Message) {
		if c.Count > 0 && printed == c.Count {
			return
		}
		if err := c.print(env, m); err != nil {
			stop(err)
		}
		if printed++; printed == c.Count {
			stop(errEnough)
		}
	})
	switch cause := context.Cause(running); {
	case ctx.Err() != nil, errors.Is(cause, errEnough):
		return nil
	case cause != nil:
		return cause
	}
	return err
}

func (c *SubscribeCmd) print(env *Env, m client.Message) error {
	if c.JSON {
		return json.NewEncoder(env.Stdout).Encode(m)
	}
	_, err := fmt.Fprintf(env.Stdout, "%s  %s  %s\n", m.Channel, m.Event, m.Data)
	return err
}
