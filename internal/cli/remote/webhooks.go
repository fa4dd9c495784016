package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// WebhooksCmd looks after the webhooks of an app.
type WebhooksCmd struct {
	Status  WebhooksStatusCmd  `cmd:"" help:"Show the endpoints, and for each the events that wait and why they wait."`
	Dead    WebhooksDeadCmd    `cmd:"" help:"List the dead letters: requests that were given up."`
	Replay  WebhooksReplayCmd  `cmd:"" help:"Send dead letters again."`
	Discard WebhooksDiscardCmd `cmd:"" help:"Remove dead letters."`
}

// WebhooksStatusCmd shows the endpoints.
type WebhooksStatusCmd struct{ appFlags }

// Run prints a table.
func (c *WebhooksStatusCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	list, err := s.Webhooks(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLines(env.Stdout, list)
	}
	t := command.NewTable(env.Stdout, "WEBHOOK", "STATE", "EVENTS", "BYTES", "OLDEST", "FAILURES", "RETRY", "LAST ERROR")
	for _, w := range list {
		state := "ok"
		switch {
		case w.IsBroken:
			state = "broken"
		case w.Failures > 0:
			state = "failing"
		}
		t.Row(w.ID, state, strconv.Itoa(w.Events), strconv.Itoa(w.Bytes), command.Moment(w.OldestMS),
			strconv.Itoa(w.Failures), command.Moment(w.RetryAtMS), w.LastError)
	}
	return t.Flush()
}

// WebhooksDeadCmd lists dead letters.
type WebhooksDeadCmd struct {
	appFlags
	After  string `help:"Place to go on after. The number of a dead letter." placeholder:"PLACE"`
	Limit  int    `help:"Largest number of results." placeholder:"N" default:"100"`
	Events bool   `help:"With --json, print the events as well."`
}

// Run prints a table, and how to see the rest.
func (c *WebhooksDeadCmd) Run(ctx context.Context, env *command.Env) error {
	if c.Events && !c.JSON {
		return command.Usagef("--events needs --json: the table has no place for events")
	}
	after, err := number(c.After)
	if err != nil {
		return err
	}
	s, err := c.client(env)
	if err != nil {
		return err
	}
	page, err := s.DeadLetters(ctx, after, c.Limit, c.Events && c.JSON)
	if err != nil {
		return err
	}
	if c.JSON {
		err = command.EncodeLines(env.Stdout, page.Letters)
	} else {
		t := command.NewTable(env.Stdout, "NUMBER", "WEBHOOK", "DIED", "EVENTS", "BYTES", "REASON", "ATTEMPTS", "DETAIL")
		for _, l := range page.Letters {
			t.Row(strconv.FormatUint(l.Number, 10), l.Webhook, command.Moment(l.DiedMS), strconv.Itoa(l.Count), strconv.Itoa(l.Size),
				l.Reason, strconv.Itoa(l.Attempts), l.Detail)
		}
		err = t.Flush()
	}
	if err == nil && page.Next != 0 {
		_, err = fmt.Fprintf(env.Stderr, "there are more: --after %d\n", page.Next)
	}
	return err
}

// number reads the number of a dead letter, 0 from an empty text.
func number(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, command.Usagef("--after %s is no number of a dead letter; \"millrace webhooks dead\" lists them", text)
	}
	return n, nil
}

// letterSelection says which dead letters a command is about.
type letterSelection struct {
	appFlags
	Webhook string   `help:"Take dead letters of this webhook only." placeholder:"ID"`
	All     bool     `help:"Take all dead letters, if no other flag selects some."`
	Numbers []uint64 `arg:"" optional:"" help:"Numbers of dead letters, as \"webhooks dead\" lists them."`
}

// treat carries out a command and says for how many letters, also if not for all.
func (c *letterSelection) treat(ctx context.Context, env *command.Env, done string, how func(*client.Client, context.Context, client.Selection) (int, error)) error {
	if len(c.Numbers) == 0 && c.Webhook == "" && !c.All {
		return command.Usagef("which letters? Give numbers, --webhook, or --all")
	}
	s, err := c.client(env)
	if err != nil {
		return err
	}
	n, failed := how(s, ctx, client.Selection{Numbers: c.Numbers, Webhook: c.Webhook, All: c.All})
	if failed != nil && n == 0 {
		return failed
	}
	if c.JSON {
		err = command.EncodeLine(env.Stdout, map[string]int{done: n})
	} else {
		_, err = fmt.Fprintf(env.Stdout, "%s %d\n", done, n)
	}
	return errors.Join(failed, err)
}

// WebhooksReplayCmd sends dead letters again.
type WebhooksReplayCmd struct{ letterSelection }

// Run replays.
func (c *WebhooksReplayCmd) Run(ctx context.Context, env *command.Env) error {
	return c.treat(ctx, env, "replayed", (*client.Client).Replay)
}

// WebhooksDiscardCmd removes dead letters.
type WebhooksDiscardCmd struct{ letterSelection }

// Run discards.
func (c *WebhooksDiscardCmd) Run(ctx context.Context, env *command.Env) error {
	return c.treat(ctx, env, "discarded", (*client.Client).Discard)
}

// UsersCmd asks about signed-in users.
type UsersCmd struct {
	Online UsersOnlineCmd `cmd:"" help:"List the users that are online, as webhooks have reported them."`
}

// UsersOnlineCmd lists the users that are online.
type UsersOnlineCmd struct{ appFlags }

// Run prints one user per line.
func (c *UsersOnlineCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	online, err := s.Online(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLine(env.Stdout, online)
	}
	for _, id := range online.Users {
		if _, err := fmt.Fprintln(env.Stdout, command.Cell(id)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(env.Stderr, "%d online, as of event %d\n", len(online.Users), online.Seq)
	return err
}
