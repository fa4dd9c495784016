package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/internal/client"
)

// ViewCmd feeds live views and shows them.
type ViewCmd struct {
	Put    ViewPutCmd    `cmd:"" help:"Make or replace an entity."`
	Patch  ViewPatchCmd  `cmd:"" help:"Merge into an entity."`
	Delete ViewDeleteCmd `cmd:"" help:"Delete an entity."`
	Get    ViewGetCmd    `cmd:"" help:"Print the present rows of a view."`
	Watch  ViewWatchCmd  `cmd:"" help:"Print the rows of a view, and then every change."`
	Define ViewDefineCmd `cmd:"" help:"Make or replace a derived view."`
	Remove ViewRemoveCmd `cmd:"" help:"Remove a derived view that was defined."`
	List   ViewListCmd   `cmd:"" help:"List the views of an app."`
}

// viewServer is the app whose views are meant. Its key is --app-key, because --key is the
// key of an entity.
type viewServer struct {
	URL    string `help:"Server." default:"http://127.0.0.1:6001"`
	App    string `help:"App id." default:"app-id"`
	AppKey string `help:"App key." default:"app-key"`
	Secret string `help:"App secret." default:"app-secret"`
}

func (s *viewServer) client(env *Env) (*client.Client, error) {
	return client.New(client.Options{URL: s.URL, App: s.App, Key: s.AppKey, Secret: s.Secret, Log: env.Log})
}

// mutate applies one mutation and says so.
func (s *viewServer) mutate(ctx context.Context, env *Env, m client.Mutation) error {
	c, err := s.client(env)
	if err != nil {
		return err
	}
	seq, err := c.Mutate(ctx, []client.Mutation{m})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s %s %s at %s\n", m.Op, m.Entity, m.Key, seq)
	return err
}

// ViewPutCmd makes or replaces an entity.
type ViewPutCmd struct {
	viewServer
	Entity string `arg:"" help:"Entity type, such as Auction."`
	Key    string `arg:"" help:"Key of the entity."`
	Data   string `arg:"" help:"The entity, a JSON object; - reads it from standard input."`
}

// Run puts.
func (c *ViewPutCmd) Run(ctx context.Context, env *Env) error {
	data, err := objectArgument(c.Data)
	if err != nil {
		return err
	}
	return c.mutate(ctx, env, client.Mutation{Op: "upsert", Entity: c.Entity, Key: c.Key, Data: data})
}

// ViewPatchCmd merges into an entity.
type ViewPatchCmd struct {
	viewServer
	Append []string `help:"Dotted path of an array to append to instead of replacing it." placeholder:"PATH"`
	Entity string   `arg:"" help:"Entity type, such as Auction."`
	Key    string   `arg:"" help:"Key of the entity."`
	Data   string   `arg:"" help:"What to merge, a JSON object; - reads it from standard input."`
}

// Run patches.
func (c *ViewPatchCmd) Run(ctx context.Context, env *Env) error {
	data, err := objectArgument(c.Data)
	if err != nil {
		return err
	}
	return c.mutate(ctx, env, client.Mutation{Op: "patch", Entity: c.Entity, Key: c.Key, Data: data, Append: c.Append})
}

// ViewDeleteCmd deletes an entity.
type ViewDeleteCmd struct {
	viewServer
	Entity string `arg:"" help:"Entity type, such as Auction."`
	Key    string `arg:"" help:"Key of the entity."`
}

// Run deletes.
func (c *ViewDeleteCmd) Run(ctx context.Context, env *Env) error {
	return c.mutate(ctx, env, client.Mutation{Op: "delete", Entity: c.Entity, Key: c.Key})
}

// objectArgument is a JSON object given as an argument.
func objectArgument(text string) (json.RawMessage, error) {
	data, err := textArgument(text)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, fmt.Errorf("%s: not a JSON object", data)
	}
	return data, nil
}

func textArgument(text string) ([]byte, error) {
	if text != "-" {
		return []byte(text), nil
	}
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return data, nil
}

// viewRows say which rows of a view are wanted.
type viewRows struct {
	Key   *string `help:"Only the entity with this key." placeholder:"KEY"`
	Take  *int    `help:"Rows of a sorted view." placeholder:"N"`
	Skip  *int    `help:"Rows of a sorted view to leave out before." placeholder:"N"`
	After *string `help:"Print the changes after this cursor only." placeholder:"SEQ"`
	Limit *int    `help:"Rows of a view that is not sorted." placeholder:"N"`
}

func (r *viewRows) options() client.ViewOptions {
	return client.ViewOptions{Key: r.Key, Take: r.Take, Skip: r.Skip, After: r.After, Limit: r.Limit}
}

// ViewGetCmd prints a view.
type ViewGetCmd struct {
	viewServer
	viewRows
	JSON bool   `name:"json" help:"One JSON object with everything."`
	View string `arg:"" help:"View, such as Auction/list."`
}

// Run prints the rows, the keys that are gone and where to go on.
func (c *ViewGetCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	v, err := s.ReadView(ctx, c.View, c.options())
	if err != nil {
		return err
	}
	if c.JSON {
		return encodeLine(env.Stdout, v)
	}
	for _, row := range v.Rows {
		if _, err := fmt.Fprintf(env.Stdout, "%s  %s\n", row.Key, row.Data); err != nil {
			return err
		}
	}
	for _, key := range v.Deleted {
		if _, err := fmt.Fprintf(env.Stdout, "%s  deleted\n", key); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(env.Stderr, "%d of %d rows, at %s\n", len(v.Rows), v.Total, v.Position)
	return err
}

// ViewWatchCmd prints a view and its changes until it is interrupted.
type ViewWatchCmd struct {
	viewServer
	viewRows
	Token string `help:"Session token or static token, if the app requires one." placeholder:"TOKEN"`
	JSON  bool   `name:"json" help:"One JSON object per line."`
	Count int    `help:"End after this many rows and changes." placeholder:"N"`
	View  string `arg:"" help:"View, such as Auction/list."`
}

// errEnoughChanges ends a watch that has printed what it was asked for.
var errEnoughChanges = errors.New("enough changes")

// Run prints until ctx ends, which is how it usually does.
func (c *ViewWatchCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	printed := 0
	err = s.Watch(running, c.View, client.WatchOptions{ViewOptions: c.options(), Token: c.Token}, func(change client.Change) {
		if c.Count > 0 && printed == c.Count {
			return
		}
		if err := c.print(env, &change); err != nil {
			stop(err)
		}
		if printed++; printed == c.Count {
			stop(errEnoughChanges)
		}
	})
	switch cause := context.Cause(running); {
	case ctx.Err() != nil, errors.Is(cause, errEnoughChanges):
		return nil
	case cause != nil:
		return cause
	}
	return err
}

func (c *ViewWatchCmd) print(env *Env, change *client.Change) error {
	if c.JSON {
		return encodeLine(env.Stdout, change)
	}
	_, err := fmt.Fprintln(env.Stdout, strings.TrimRight(fmt.Sprintf("%-8s  %s  %s", change.Op, change.Key, change.Data), " "))
	return err
}

// ViewDefineCmd defines a derived view.
type ViewDefineCmd struct {
	viewServer
	Definition string `arg:"" help:"JSON, or a file with it; - reads standard input."`
}

// Run defines the view and prints the definition as the server keeps it.
func (c *ViewDefineCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	definition, err := textArgument(c.Definition)
	if err != nil {
		return err
	}
	if c.Definition != "-" && !strings.HasPrefix(strings.TrimSpace(c.Definition), "{") {
		if definition, err = os.ReadFile(c.Definition); err != nil {
			return err
		}
	}
	kept, err := s.DefineView(ctx, definition)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s\n", kept)
	return err
}

// ViewRemoveCmd removes a derived view.
type ViewRemoveCmd struct {
	viewServer
	View string `arg:"" help:"View, such as Auction/top."`
}

// Run removes the view and says so.
func (c *ViewRemoveCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	if err := s.RemoveView(ctx, c.View); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "removed %s\n", c.View)
	return err
}

// ViewListCmd lists views.
type ViewListCmd struct {
	viewServer
	JSON bool `name:"json" help:"One JSON object per line."`
}

// Run prints a table.
func (c *ViewListCmd) Run(ctx context.Context, env *Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	views, err := s.Views(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, v := range views {
			if err := encodeLine(env.Stdout, v); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VIEW\tMODE\tACCESS\tSOURCE\tROWS\tSUBSCRIPTIONS")
	for _, v := range views {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", v.ID, v.Mode, v.Access, v.Source, v.Rows, v.Subscriptions)
	}
	return w.Flush()
}

// encodeLine writes one line of JSON, in which < is still itself.
func encodeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
