package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// HistoryCmd shows what a channel has kept.
type HistoryCmd struct {
	appFlags
	OldestFirst bool   `help:"Begin with the oldest event."`
	After       string `help:"Place to go on after. As the command has printed it, with the same --oldest-first." placeholder:"PLACE"`
	Limit       int    `help:"Largest number of results." placeholder:"N" default:"100"`

	Channel string `arg:"" help:"Channel of an app that keeps history."`
}

// Run prints a table, and how to see the rest.
func (c *HistoryCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	page, err := s.History(ctx, c.Channel, client.HistoryQuery{OldestFirst: c.OldestFirst, After: c.After, Limit: c.Limit})
	if err != nil {
		return err
	}
	if c.JSON {
		err = command.EncodeLines(env.Stdout, page.Items)
	} else {
		t := command.NewTable(env.Stdout, "SERIAL", "TIME", "EVENT", "USER", "DATA")
		for i := range page.Items {
			one := &page.Items[i]
			t.Row(strconv.FormatUint(one.Serial, 10), command.Moment(one.TimeMS), one.Event, one.Message.UserID, shown(one.Message.Data))
		}
		err = t.Flush()
	}
	if err == nil && page.Next != "" {
		_, err = fmt.Fprintf(env.Stderr, "there are more: --after %s\n", page.Next)
	}
	return err
}

// shown is data as people read it: a text without its quotes.
func shown(data json.RawMessage) string {
	var text string
	if json.Unmarshal(data, &text) == nil {
		return text
	}
	return string(data)
}
