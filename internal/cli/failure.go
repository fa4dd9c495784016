package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// The exit codes of commands. Signals have theirs: see exitCode.
const (
	exitDone   = 0
	exitFailed = 1 // the command could not be carried out, or has found a problem
	exitUsage  = 2 // the command line means nothing
)

// fail tells the user why a command has failed and what can be done, and returns the exit code. node is
// the command, nil if the command line names none.
func fail(env *Env, node *kong.Node, err error) int {
	if errors.Is(err, command.ErrReported) {
		return exitFailed
	}
	fmt.Fprintf(env.Stderr, "millrace: %s\n", strings.TrimPrefix(err.Error(), "client: ")) // of a package, which users do not know
	_, isParse := errors.AsType[*kong.ParseError](err)
	_, isUsage := errors.AsType[*command.UsageError](err)
	if isParse || isUsage {
		fmt.Fprintf(env.Stderr, "Run \"%s --help\" to see how it is used.\n", call(node))
		return exitUsage
	}
	if isRefusedCredentials(err) {
		for _, line := range env.Refused() {
			fmt.Fprintln(env.Stderr, line)
		}
	}
	return exitFailed
}

// isRefusedCredentials tells a server that refuses who asks.
func isRefusedCredentials(err error) bool {
	refused, ok := errors.AsType[*client.APIError](err)
	return ok && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) ||
		errors.Is(err, client.ErrCredentials)
}

// call returns how a command is called.
func call(node *kong.Node) string {
	var words []string
	for ; node != nil && node.Type == kong.CommandNode; node = node.Parent {
		words = append([]string{node.Name}, words...)
	}
	return strings.Join(append([]string{"millrace"}, words...), " ")
}
