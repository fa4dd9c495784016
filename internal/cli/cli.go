// Package cli is the command line: one file and one struct per command. It parses, calls
// the package that does the work and turns its error into an exit code and a sentence.
//
// It owns no goroutine, and it alone knows that there is a process around the program:
// arguments, environment, standard streams.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// Env is what a command may use of the process.
type Env struct {
	Stdout, Stderr io.Writer
	Log            *slog.Logger
	Environ        []string // as os.Environ
	Program        string   // as the user called it; empty: by its name

	// Hangups makes requests to read the configuration again arrive, until stop is called;
	// nil: no request ever comes.
	Hangups func() (asked <-chan os.Signal, stop func())
}

func (e *Env) program() string { return cmp.Or(e.Program, "millrace") }

// hangups never come on a system without the signal.
func (e *Env) hangups() (asked <-chan os.Signal, stop func()) {
	if e.Hangups == nil {
		return nil, func() {}
	}
	return e.Hangups()
}

// root is the grammar. Each command has a method Run(context.Context, *Env) error.
type root struct {
	Serve     ServeCmd     `cmd:"" help:"Run the server. Without --config or an app in the environment it runs a development app on 127.0.0.1:6001."`
	Check     CheckCmd     `cmd:"" help:"Check a configuration file and list every problem."`
	Config    ConfigCmd    `cmd:"" help:"Print a configuration file: every key with its default and meaning, and new credentials."`
	Publish   PublishCmd   `cmd:"" help:"Publish one event."`
	Subscribe SubscribeCmd `cmd:"" help:"Print the events of channels as they arrive."`
	View      ViewCmd      `cmd:"" help:"Feed live views and show them."`
	Apps      AppsCmd      `cmd:"" help:"Show and change the apps of a running server."`
	Token     TokenCmd     `cmd:"" help:"Make and check the session tokens of live views."`

	Webhooks    WebhooksCmd    `cmd:"" help:"Show the webhooks of an app; list, send and remove their dead letters."`
	Connections ConnectionsCmd `cmd:"" help:"List, show, close and trace the open connections of an app."`
	Users       UsersCmd       `cmd:"" help:"Ask about signed-in users."`

	Doctor  DoctorCmd  `cmd:"" help:"Find problems of a server, its machine and its network, and say how to fix each."`
	Bench   BenchCmd   `cmd:"" help:"Put load on a server and measure it."`
	Version VersionCmd `cmd:"" help:"Print the version."`

	VersionFlag versionFlag `name:"version" help:"Print the version, as the command does."`
}

// variable is the value of an environment variable, empty if it is not set.
func (e *Env) variable(name string) string {
	value := ""
	for _, entry := range e.Environ {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v // of a repeated one the last counts
		}
	}
	return value
}

// exit is how kong's wish to end the program (after --help) reaches Main.
type exit int

// Main runs one command and returns the exit code: 0 for success, 1 for a failure, 2 for a
// command line that means nothing. It returns early when ctx ends.
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
	var commands root
	parser, err := kong.New(&commands,
		kong.Name("millrace"),
		kong.Description("A self-hosted realtime server that speaks the Pusher Channels protocol, with live views."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(env),
	)
	if err != nil {
		fmt.Fprintf(env.Stderr, "millrace: %v\n", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(env.Stderr, "millrace: %v\nRun \"millrace --help\" to see the commands.\n", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintf(env.Stderr, "millrace: %v\n", err)
		}
		return 1
	}
	return 0
}

// errReported ends a command with exit code 1 that has already said why.
var errReported = errors.New("already reported")
