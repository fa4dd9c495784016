package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/cli/command"
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

// viewFlags are on every command about views. --app-key is the earlier name of --key.
type viewFlags struct {
	appFlags
	AppKey string `name:"app-key" hidden:"" help:"Earlier name of --key."`
}

func (f *viewFlags) client(env *command.Env) (*client.Client, error) {
	if f.AppKey != "" {
		env.Replaced("--app-key", "write --key instead")
		f.Key = cmp.Or(f.Key, f.AppKey)
	}
	return f.appFlags.client(env)
}

// oneEntity is the argument of commands about one entity.
type oneEntity struct {
	viewFlags
	Entity    string `arg:"" help:"Entity type, such as Auction."`
	EntityKey string `arg:"" help:"Key of the entity."`
}

// mutate applies one mutation and says so.
func (e *oneEntity) mutate(ctx context.Context, env *command.Env, m client.Mutation) error {
	m.Entity, m.Key = e.Entity, e.EntityKey
	c, err := e.client(env)
	if err != nil {
		return err
	}
	seq, err := c.Mutate(ctx, []client.Mutation{m})
	if err != nil {
		return err
	}
	if e.JSON {
		return command.EncodeLine(env.Stdout, map[string]string{"op": m.Op, "entity": m.Entity, "key": m.Key, "seq": seq})
	}
	_, err = fmt.Fprintf(env.Stdout, "%s %s %s at %s\n", m.Op, m.Entity, m.Key, seq)
	return err
}

// ViewPutCmd makes or replaces an entity.
type ViewPutCmd struct {
	oneEntity
	Data string `arg:"" help:"The entity, a JSON object. - reads it from standard input."`
}

// Run puts.
func (c *ViewPutCmd) Run(ctx context.Context, env *command.Env) error {
	data, err := objectArgument(c.Data)
	if err != nil {
		return err
	}
	return c.mutate(ctx, env, client.Mutation{Op: "upsert", Data: data})
}

// ViewPatchCmd merges into an entity.
type ViewPatchCmd struct {
	oneEntity
	Append []string `help:"Dotted path of an array to append to instead of replacing it." placeholder:"PATH"`
	Data   string   `arg:"" help:"What to merge, a JSON object. - reads it from standard input."`
}

// Run patches.
func (c *ViewPatchCmd) Run(ctx context.Context, env *command.Env) error {
	data, err := objectArgument(c.Data)
	if err != nil {
		return err
	}
	return c.mutate(ctx, env, client.Mutation{Op: "patch", Data: data, Append: c.Append})
}

// ViewDeleteCmd deletes an entity.
type ViewDeleteCmd struct{ oneEntity }

// Run deletes.
func (c *ViewDeleteCmd) Run(ctx context.Context, env *command.Env) error {
	return c.mutate(ctx, env, client.Mutation{Op: "delete"})
}

// objectArgument is a JSON object given as an argument.
func objectArgument(text string) (json.RawMessage, error) {
	data, err := command.Text(text)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, command.Usagef("%s: not a JSON object; write one in single quotes, such as '{\"title\":\"Lamp\"}'", data)
	}
	return data, nil
}

// viewRows say which rows of a view are wanted.
type viewRows struct {
	viewFlags
	Take  *int    `help:"Number of rows, of a derived view." placeholder:"N"`
	Skip  *int    `help:"Number of rows to leave out before, of a derived view." placeholder:"N"`
	After *string `help:"Place to go on after. The cursor of the last change that is known." placeholder:"PLACE"`
	Limit *int    `help:"Largest number of results. Rows of a base view; a derived view has --take." placeholder:"N"`

	View      string  `arg:"" help:"View, such as Auction/list."`
	EntityKey *string `arg:"" optional:"" help:"Key of an entity of a base view. Without it, all rows of the view."`
}

// options reads the arguments, also as an earlier release took them: the key of the entity as --key
// beside the key of the app as --app-key.
func (r *viewRows) options(env *command.Env) client.ViewOptions {
	switch {
	case r.EntityKey != nil || r.Key == "":
	case r.AppKey != "":
		env.Replaced("--key as the key of an entity", "write it as an argument behind the view")
		entityKey := r.Key
		r.Key, r.EntityKey = "", &entityKey
	default:
		env.Hint("--key is the key of the app; the key of an entity is an argument behind the view.")
	}
	return client.ViewOptions{Key: r.EntityKey, Take: r.Take, Skip: r.Skip, After: r.After, Limit: r.Limit}
}

// ViewGetCmd prints a view.
type ViewGetCmd struct {
	viewRows
}

// Run prints the rows, the keys that are gone and where to go on.
func (c *ViewGetCmd) Run(ctx context.Context, env *command.Env) error {
	options := c.options(env)
	s, err := c.client(env)
	if err != nil {
		return err
	}
	v, err := s.ReadView(ctx, c.View, options)
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLine(env.Stdout, v)
	}
	for _, row := range v.Rows {
		if _, err := fmt.Fprintf(env.Stdout, "%s  %s\n", command.Cell(row.Key), command.Cell(string(row.Data))); err != nil {
			return err
		}
	}
	for _, key := range v.Deleted {
		if _, err := fmt.Fprintf(env.Stdout, "%s  deleted\n", command.Cell(key)); err != nil {
			return err
		}
	}
	what := ""
	switch {
	case c.After == nil || v.Whole == nil: // there is no question, or no answer from an older server
	case *v.Whole:
		what = "; this is the whole view: the server cannot resume after the cursor, so forget the rows from before"
	default:
		what = "; these are the changes after the cursor"
	}
	_, err = fmt.Fprintf(env.Stderr, "%d of %d rows, at %s%s\n", len(v.Rows), v.Total, v.Position, what)
	return err
}

// ViewWatchCmd prints a view and its changes until it is interrupted.
type ViewWatchCmd struct {
	viewRows
	Token string `help:"Session token or static token, if the app requires one. By default MILLRACE_TOKEN." placeholder:"TOKEN"`
	Count int    `help:"Number of events after which the command ends. Rows and changes are events." placeholder:"N"`
}

// Run prints until ctx ends, which is how it usually does.
func (c *ViewWatchCmd) Run(ctx context.Context, env *command.Env) error {
	options := client.WatchOptions{ViewOptions: c.options(env), Token: c.Token}
	if variable := env.Variable(command.TokenVariable); c.Token == "" && variable != "" {
		options.Token = variable
		env.Hint("The token was the one of " + command.TokenVariable + ".")
	}
	s, err := c.client(env)
	if err != nil {
		return err
	}
	if c.Count < 0 {
		return command.Usagef("--count %d is below zero; give how many events to print, or leave it out to print all", c.Count)
	}
	return stream(ctx, c.Count, func(ctx context.Context, p *printer) error {
		return s.Watch(ctx, c.View, options, func(change client.Change) {
			p.print(func() error { return c.print(env, &change) })
		})
	})
}

func (c *ViewWatchCmd) print(env *command.Env, change *client.Change) error {
	if c.JSON {
		return command.EncodeLine(env.Stdout, change)
	}
	text := ""
	if len(change.Data) > 0 {
		text = command.Cell(string(change.Data))
	}
	_, err := fmt.Fprintln(env.Stdout, strings.TrimRight(fmt.Sprintf("%-8s  %s  %s", change.Op, command.Cell(change.Key), text), " "))
	return err
}

// ViewDefineCmd defines a derived view.
type ViewDefineCmd struct {
	viewFlags
	Definition string `arg:"" help:"JSON, or a file with it. - reads it from standard input."`
}

// Run defines the view and prints the definition as the server keeps it.
func (c *ViewDefineCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	definition, err := command.Text(c.Definition)
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
	viewFlags
	View string `arg:"" help:"View, such as Auction/top."`
}

// Run removes the view and says so.
func (c *ViewRemoveCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	if err := s.RemoveView(ctx, c.View); err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLine(env.Stdout, map[string]string{"removed": c.View})
	}
	_, err = fmt.Fprintf(env.Stdout, "removed %s\n", c.View)
	return err
}

// ViewListCmd lists views.
type ViewListCmd struct{ viewFlags }

// Run prints a table.
func (c *ViewListCmd) Run(ctx context.Context, env *command.Env) error {
	s, err := c.client(env)
	if err != nil {
		return err
	}
	views, err := s.Views(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLines(env.Stdout, views)
	}
	t := command.NewTable(env.Stdout, "VIEW", "MODE", "ACCESS", "SOURCE", "ROWS", "SUBSCRIPTIONS")
	for _, v := range views {
		t.Row(v.ID, v.Mode, v.Access, v.Source, strconv.Itoa(v.Rows), strconv.Itoa(v.Subscriptions))
	}
	return t.Flush()
}
