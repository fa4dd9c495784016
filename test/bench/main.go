// Command bench measures what Millrace promises: it starts servers of the binary that it is given, puts
// load on them, and writes docs/performance.md. "make bench" runs it; "bench --help" lists its parts.
//
// It owns the command line alone; the packages below it measure, and the load generator is
// internal/bench. Floors, crowds and engines are processes of this binary. It starts no goroutine.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are the standard streams of the process.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands is the grammar. Each command has a method Run(context.Context, streams) error.
type commands struct {
	Report  reportCmd  `cmd:"" help:"Measure every promised number beside the floor and write the page about them."`
	Views   viewsCmd   `cmd:"" help:"Measure the promised numbers of live views alone, and print them."`
	Guards  guardsCmd  `cmd:"" help:"Measure the promised numbers of users, limits, webhooks and storms alone, and print them."`
	Storm   stormCmd   `cmd:"" help:"Measure what others notice when many connections are cut at once, and print it."`
	Ending  endingCmd  `cmd:"" help:"End servers by SIGTERM while publishers publish as fast as they can, and print what was lost."`
	Hostile hostileCmd `cmd:"" help:"Measure what hostile connections make the server hold, and print it."`
	Pairs   pairsCmd   `cmd:"" help:"Compare the server with another binary of it, in pairs of runs, and print the ratios."`
	Floor   floorCmd   `cmd:"" help:"Be the floor, a bare loop with one write per delivery: millrace bench load --url puts load on it."`

	Crowd    crowdCmd    `cmd:"" hidden:"" help:"Be a crowd of connections, to be killed."`
	Engine   engineCmd   `cmd:"" hidden:"" help:"Be an engine of live views that does what standard input says."`
	Webhooks webhooksCmd `cmd:"" hidden:"" help:"Be an outbox that is told of events."`
}

// exit is how kong's wish to end the program (after --help) reaches run.
type exit int

// run runs one command and returns the exit code: 0 for success, 1 for a failure, 2 for a command
// line that means nothing.
func run(ctx context.Context, args []string, s streams) (code int) {
	defer func() {
		if wish := recover(); wish != nil {
			asked, ok := wish.(exit)
			if !ok {
				panic(wish)
			}
			code = int(asked)
		}
	}()
	parser, err := kong.New(new(commands), kong.Name("bench"),
		kong.Description("Measures what Millrace promises. The server is bin/millrace, which make build makes."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		fmt.Fprintf(s.err, "bench: %v\n", err)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.err, "bench: %v; bench --help lists the commands\n", err)
		return 2
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(s.err, "bench: %v\n", err)
		return 1
	}
	return 0
}
