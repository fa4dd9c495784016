package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/client"
)

// WebhooksCmd looks after the webhooks of an app.
type WebhooksCmd struct {
	Status  WebhooksStatusCmd  `cmd:"" help:"Show the endpoints, the number of events that wait for each, and why."`
	Dead    WebhooksDeadCmd    `cmd:"" help:"List the dead letters: requests that were given up."`
	Replay  WebhooksReplayCmd  `cmd:"" help:"Send dead letters again."`
	Discard WebhooksDiscardCmd `cmd:"" help:"Remove dead letters."`
}

// WebhooksStatusCmd shows the endpoints.
type WebhooksStatusCmd struct{ operatorServer }

// Run prints a table.
func (c *WebhooksStatusCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	list, err := s.Webhooks(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return encodeLines(env.Stdout, list)
	}
	t := newTable(env.Stdout, "WEBHOOK", "STATE", "EVENTS", "BYTES", "OLDEST", "FAILURES", "RETRY", "LAST ERROR")
	for _, w := range list {
		state := "ok"
		switch {
		case w.IsBroken:
			state = "broken"
		case w.Failures > 0:
			state = "failing"
		}
		t.row(w.ID, state, strconv.Itoa(w.Events), strconv.Itoa(w.Bytes), moment(w.OldestMS),
			strconv.Itoa(w.Failures), moment(w.RetryAtMS), w.LastError)
	}
	return t.w.Flush()
}

// WebhooksDeadCmd lists dead letters.
type WebhooksDeadCmd struct {
	operatorServer
	After  uint64 `help:"List dead letters with greater numbers only." placeholder:"NUMBER"`
	Limit  int    `help:"At most so many." default:"100"`
	Events bool   `help:"With --json: print the events as well."`
}

// Run prints a table, and how to see the rest.
func (c *WebhooksDeadCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	page, err := s.DeadLetters(ctx, c.After, c.Limit, c.Events && c.JSON)
	if err != nil {
		return err
	}
	if c.JSON {
		err = encodeLines(env.Stdout, page.Letters)
	} else {
		t := newTable(env.Stdout, "NUMBER", "WEBHOOK", "DIED", "EVENTS", "BYTES", "REASON", "ATTEMPTS", "DETAIL")
		for _, l := range page.Letters {
			t.row(strconv.FormatUint(l.Number, 10), l.Webhook, moment(l.DiedMS), strconv.Itoa(l.Count), strconv.Itoa(l.Size),
				l.Reason, strconv.Itoa(l.Attempts), l.Detail)
		}
		err = t.w.Flush()
	}
	if err == nil && page.Next != 0 {
		_, err = fmt.Fprintf(env.Stderr, "there are more: --after %d\n", page.Next)
	}
	return err
}

// letterSelection says which dead letters a command is about.
type letterSelection struct {
	operatorServer
	Webhook string   `help:"Take dead letters of this webhook only." placeholder:"ID"`
	All     bool     `help:"Take all dead letters, if no other flag selects some."`
	Numbers []uint64 `arg:"" optional:"" help:"Numbers of letters, as \"webhooks dead\" lists them."`
}

// treat does it and says how many, also if not all.
func (c *letterSelection) treat(ctx context.Context, env *Env, done string, how func(*client.Client, context.Context, client.Selection) (int, error)) error {
	if len(c.Numbers) == 0 && c.Webhook == "" && !c.All {
		return errors.New("which letters? Give numbers, --webhook, or --all")
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
		err = encodeLine(env.Stdout, map[string]int{done: n})
	} else {
		_, err = fmt.Fprintf(env.Stdout, "%s %d\n", done, n)
	}
	return errors.Join(failed, err)
}

// WebhooksReplayCmd sends dead letters again.
type WebhooksReplayCmd struct{ letterSelection }

// Run replays.
func (c *WebhooksReplayCmd) Run(ctx context.Context, env *Env) error {
	return c.treat(ctx, env, "replayed", (*client.Client).Replay)
}

// WebhooksDiscardCmd removes dead letters.
type WebhooksDiscardCmd struct{ letterSelection }

// Run discards.
func (c *WebhooksDiscardCmd) Run(ctx context.Context, env *Env) error {
	return c.treat(ctx, env, "discarded", (*client.Client).Discard)
}

// UsersCmd asks about signed-in users.
type UsersCmd struct {
	Online UsersOnlineCmd `cmd:"" help:"List the users that are online, as webhooks have reported them."`
}

// UsersOnlineCmd lists who is online.
type UsersOnlineCmd struct{ operatorServer }

// Run prints one user per line.
func (c *UsersOnlineCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	online, err := s.Online(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return encodeLine(env.Stdout, online)
	}
	for _, id := range online.Users {
		if _, err := fmt.Fprintln(env.Stdout, cell(id)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(env.Stderr, "%d online, as of event %d\n", len(online.Users), online.Seq)
	return err
}
