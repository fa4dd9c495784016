// Package command is what all commands share: what a command may use of the process around it, how it
// prints, and how it says that its command line means nothing.
//
// It must never know a command, a server or the grammar. An Env belongs to one call of one command; the
// package starts no goroutine.
package command

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
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

	asked fmt.Stringer
	hints []string
}

// Variable returns the value of an environment variable, empty if it is not set.
func (e *Env) Variable(name string) string {
	value := ""
	for _, entry := range e.Environ {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v // of a repeated one the last counts
		}
	}
	return value
}

// The variables by which commands find their server. The server itself reads none of them.
const (
	URLVariable     = "MILLRACE_URL"
	AppVariable     = "MILLRACE_APP"
	KeyVariable     = "MILLRACE_KEY"
	SecretVariable  = "MILLRACE_SECRET"
	TokenVariable   = "MILLRACE_TOKEN"
	ContextVariable = "MILLRACE_CONTEXT"
)

// ServerEnviron returns the environment as a server reads it: without the variables of commands.
func (e *Env) ServerEnviron() []string {
	own := []string{URLVariable, AppVariable, KeyVariable, SecretVariable, TokenVariable, ContextVariable}
	return slices.DeleteFunc(slices.Clone(e.Environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(own, name)
	})
}

// Asks notes which server the command asks, and with which credentials.
func (e *Env) Asks(server fmt.Stringer) { e.asked = server }

// Hint adds what the user should know if the server refuses the credentials.
func (e *Env) Hint(text string) { e.hints = append(e.hints, text) }

// Refused returns what to tell the user when a server has refused the credentials.
func (e *Env) Refused() []string {
	if e.asked == nil {
		return nil
	}
	return append([]string{fmt.Sprintf("The request was for %s.", e.asked)}, e.hints...)
}

// Replaced tells the user of a flag that still works and will not in the next release.
func (e *Env) Replaced(old, instead string) {
	fmt.Fprintf(e.Stderr, "millrace: %s goes with the next release: %s\n", old, instead)
}

// ErrReported ends a command as failed that has already said why.
var ErrReported = errors.New("already reported")

// UsageError is a command line that means nothing, as far as its grammar does not show.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// Usagef makes a UsageError. Its text says what to write instead.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// JSONFlag is on every command that prints data.
type JSONFlag struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Text returns the text of an argument, which - has read from standard input.
func Text(argument string) ([]byte, error) {
	if argument != "-" {
		return []byte(argument), nil
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return text, nil
}
