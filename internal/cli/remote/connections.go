package remote

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// ConnectionsCmd looks after the open connections of an app, on the node that is asked.
type ConnectionsCmd struct {
	List  ConnectionsListCmd  `cmd:"" help:"List open connections."`
	Show  ConnectionsShowCmd  `cmd:"" help:"Show one connection."`
	Close ConnectionsCloseCmd `cmd:"" help:"Close a connection for good: its client does not come back by itself."`
	Trace ConnectionsTraceCmd `cmd:"" help:"Make the server log every frame of a connection for a while."`
}

// ConnectionsListCmd lists connections.
type ConnectionsListCmd struct {
	appFlags
	Protocol string `help:"List connections of this protocol only: channels or views." placeholder:"PROTOCOL" enum:"channels,views," default:""`
	IP       string `name:"ip" help:"List connections from this address only." placeholder:"ADDR"`
	User     string `help:"Id of a user. Only connections of the user are listed." placeholder:"ID"`
	Channel  string `help:"List connections with a subscription to this channel or view only." placeholder:"NAME"`
	After    string `help:"Place to go on after. A socket id; ids are compared as texts." placeholder:"PLACE"`
	Limit    int    `help:"Largest number of results." placeholder:"N" default:"100"`
}

// Run prints a table, and how to see the rest.
func (c *ConnectionsListCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	list, err := s.Connections(ctx, client.ConnectionQuery{
		Protocol: c.Protocol, IP: c.IP, UserID: c.User, Channel: c.Channel, After: c.After, Limit: c.Limit,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = command.EncodeLines(env.Stdout, list.Connections)
	} else {
		t := command.NewTable(env.Stdout, "SOCKET", "PROTOCOL", "IP", "USER", "SINCE", "CHANNELS", "WAITING", "TRACED")
		for _, one := range list.Connections {
			t.Row(one.SocketID, one.Protocol, one.IP, one.UserID, command.Moment(one.SinceMS), strconv.Itoa(one.Total),
				strconv.Itoa(one.Waiting), command.Yes(one.IsTraced))
		}
		err = t.Flush()
	}
	if err == nil && list.Next != "" {
		_, err = fmt.Fprintf(env.Stderr, "there are more: --after %s\n", list.Next)
	}
	return err
}

// oneConnection is the connection that a command is about.
type oneConnection struct {
	appFlags
	SocketID string `arg:"" help:"Socket id, as the server gave it to the connection."`
}

// say prints what was done.
func (c *oneConnection) say(env *command.Env, text string) error {
	if c.JSON {
		return command.EncodeLine(env.Stdout, map[string]bool{"ok": true})
	}
	_, err := fmt.Fprintf(env.Stdout, "%s %s\n", text, c.SocketID)
	return err
}

// ConnectionsShowCmd shows one connection.
type ConnectionsShowCmd struct{ oneConnection }

// Run prints what there is to know.
func (c *ConnectionsShowCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	found, err := s.Connection(ctx, c.SocketID)
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLine(env.Stdout, found)
	}
	t := command.NewTable(env.Stdout, "socket", found.SocketID)
	t.Row("protocol", found.Protocol)
	t.Row("ip", found.IP)
	t.Row("user", found.UserID)
	t.Row("key", found.Key)
	t.Row("since", command.Moment(found.SinceMS))
	t.Row("channels", strings.TrimRight(fmt.Sprintf("%d %s", found.Total, strings.Join(found.Channels, " ")), " "))
	t.Row("waiting", fmt.Sprintf("%d bytes", found.Waiting))
	t.Row("traced", command.Yes(found.IsTraced))
	return t.Flush()
}

// ConnectionsCloseCmd closes a connection.
type ConnectionsCloseCmd struct{ oneConnection }

// Run closes.
func (c *ConnectionsCloseCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	if err := s.CloseConnection(ctx, c.SocketID); err != nil {
		return err
	}
	return c.say(env, "closed")
}

// ConnectionsTraceCmd traces a connection.
type ConnectionsTraceCmd struct {
	oneConnection
	For time.Duration `help:"Time to trace, in whole seconds and at most an hour; 0s ends the trace." default:"1m"`
}

// Run traces.
func (c *ConnectionsTraceCmd) Run(ctx context.Context, env *command.Env) error {
	if c.For%time.Second != 0 {
		return command.Usagef("--for %s: not whole seconds; write 1s or more, or 0s to end the trace", c.For)
	}
	s, err := c.client(env)
	if err != nil {
		return err
	}
	if err := s.TraceConnection(ctx, c.SocketID, int(c.For/time.Second)); err != nil {
		return err
	}
	if c.For == 0 {
		return c.say(env, "no more tracing")
	}
	return c.say(env, "tracing")
}
