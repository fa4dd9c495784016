// Package cli is the command line: the grammar, the commands that run or examine a server of this
// machine, and the exit codes. Commands that talk to a server are in cli/remote, what all commands share
// in cli/command. There is one struct for a command. It parses, calls the package that does the work and
// turns its error into an exit code and a sentence.
//
// It alone knows that there is a process around the program: arguments, environment, standard streams,
// signals, and the service manager that has started it.
package cli

import (
	"context"
	"errors"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/cli/remote"
)

// Env is what a command may use of the process.
type Env = command.Env

// root is the grammar. Each command has a method Run(context.Context, *command.Env) error.
type root struct {
	Serve     ServeCmd            `cmd:"" help:"Run the server. Without --config or an app in the environment the server runs a development app on 127.0.0.1:6001."`
	Check     CheckCmd            `cmd:"" help:"Check a configuration file and list every problem."`
	Config    ConfigCmd           `cmd:"" help:"Print a configuration file: every key with its default and meaning, and new credentials."`
	Publish   remote.PublishCmd   `cmd:"" help:"Publish one event."`
	Subscribe remote.SubscribeCmd `cmd:"" help:"Print the events of channels as they arrive."`
	History   remote.HistoryCmd   `cmd:"" help:"Show what was published to a channel and is kept."`
	View      remote.ViewCmd      `cmd:"" help:"Feed live views and show them."`
	Apps      remote.AppsCmd      `cmd:"" help:"Show and change the apps of a running server."`
	Token     TokenCmd            `cmd:"" help:"Make and check the session tokens of live views."`
	Context   remote.ContextCmd   `cmd:"" help:"Keep servers and credentials, so that commands need not be told them."`

	Webhooks    remote.WebhooksCmd    `cmd:"" help:"Show the webhooks of an app. List, replay and discard their dead letters."`
	Connections remote.ConnectionsCmd `cmd:"" help:"List, show, close and trace the open connections of an app."`
	Users       remote.UsersCmd       `cmd:"" help:"List the users of an app that are online."`

	Doctor  DoctorCmd       `cmd:"" help:"Find problems of a server, its machine and its network, and say how to fix each."`
	Bench   remote.BenchCmd `cmd:"" help:"Put load on a server and measure it."`
	Version VersionCmd      `cmd:"" help:"Print the version."`

	VersionFlag versionFlag `name:"version" help:"Print the version, as the command does."`
}

// exit is how kong's wish to end the program (after --help) reaches Main.
type exit int

// Main runs one command and returns its exit code. It returns early when ctx ends.
func Main(ctx context.Context, args []string, env *Env) (code int) {
	defer func() {
		if e := recover(); e != nil {
			c, ok := e.(exit)
			if !ok {
				panic(e)
			}
			code = int(c)
		}
	}()
	parser, err := newParser(ctx, env)
	if err != nil {
		return fail(env, nil, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		var node *kong.Node
		if wrong, ok := errors.AsType[*kong.ParseError](err); ok && wrong.Context != nil {
			node = wrong.Context.Selected()
		}
		return fail(env, node, err)
	}
	if err := parsed.Run(); err != nil {
		return fail(env, parsed.Selected(), err)
	}
	return exitDone
}

// newParser makes the parser of the grammar.
func newParser(ctx context.Context, env *Env) (*kong.Kong, error) {
	return kong.New(new(root),
		kong.Name("millrace"),
		kong.Description("A self-hosted realtime server that speaks the Pusher Channels protocol, with live views."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(env),
	)
}
